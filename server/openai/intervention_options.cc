#include "server/openai/intervention_options.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/field_error.h"
#include "server/base/json_fields.h"
#include "server/openai/request_fields.h"

namespace varserve::openai {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using nlohmann::json;

const FieldDescriptor* FieldOf(const Descriptor& type, const std::string& name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(name);
}

std::string FieldNames(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return absl::StrJoin(names, ", ");
}

// "VAR_MODE_" of VarMode: what its value 0 has before UNSPECIFIED.
std::string PrefixOf(const EnumDescriptor& type) {
  return std::string(absl::StripSuffix(type.FindValueByNumber(0)->name(), "UNSPECIFIED"));
}

absl::Status ReadEnum(const std::string& path, const FieldDescriptor& field, const json& value,
                      Message& options) {
  const EnumDescriptor& type = *field.enum_type();
  const std::string prefix = PrefixOf(type);
  if (value.is_string()) {
    const auto& name = value.get_ref<const std::string&>();
    const auto* found = type.FindValueByName(name);
    if (found == nullptr) found = type.FindValueByName(absl::StrCat(prefix, absl::AsciiStrToUpper(name)));
    if (found != nullptr) {
      options.GetReflection()->SetEnum(&options, &field, found);
      return absl::OkStatus();
    }
  }
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0)
      names.push_back(absl::AsciiStrToLower(absl::StripPrefix(type.value(i)->name(), prefix)));
  }
  return Invalid(path, absl::StrCat("is ", ShortText(value), ", not one of ", absl::StrJoin(names, ", ")));
}

absl::string_view KindOf(const FieldDescriptor& field) {
  if (field.is_repeated()) return "a list of integers";
  if (field.type() == FieldDescriptor::TYPE_STRING) return "a text";
  return field.type() == FieldDescriptor::TYPE_FLOAT ? "a number" : "an integer";
}

}  // namespace

absl::Status ReadOptions(const json& object, const std::string& path, Message& options) {
  if (!object.is_object()) return Invalid(path, absl::StrCat("is ", KindOf(object), ", not an object"));
  const Descriptor& type = *options.GetDescriptor();
  for (const auto& [name, value] : object.items()) {
    const std::string inner = absl::StrCat(path, ".", name.substr(0, 64));
    const FieldDescriptor* field = FieldOf(type, name);
    if (field == nullptr) return Invalid(inner, absl::StrCat("is not known; there is ", FieldNames(type)));
    if (value.is_null()) continue;
    if (field->type() == FieldDescriptor::TYPE_ENUM) {
      if (absl::Status status = ReadEnum(inner, *field, value, options); !status.ok()) return status;
      continue;
    }
    const std::unique_ptr<Message> one(options.New());
    const std::string text = json{{name, value}}.dump();
    if (!google::protobuf::util::JsonStringToMessage(text, one.get()).ok())
      return Invalid(inner, absl::StrCat("is ", ShortText(value), ", not ", KindOf(*field)));
    if (field->is_repeated()) options.GetReflection()->ClearField(&options, field);
    options.MergeFrom(*one);
  }
  return absl::OkStatus();
}

absl::Status ReadIntervention(const json& object, v1::Intervention& intervention) {
  if (!object.is_object())
    return Invalid("intervention", absl::StrCat("is ", KindOf(object), ", not an object"));
  const Descriptor& type = *v1::Intervention::descriptor();
  if (object.empty())
    return Invalid("intervention", absl::StrCat("has 0 methods, not one of ", FieldNames(type)));
  std::vector<const FieldDescriptor*> methods;
  for (const auto& [name, options] : object.items()) {
    const std::string path = absl::StrCat("intervention.", name.substr(0, 64));
    const FieldDescriptor* method = type.FindFieldByName(name);
    if (method == nullptr) return Invalid(path, absl::StrCat("is not known; there is ", FieldNames(type)));
    for (const FieldDescriptor* other : methods) {
      if (other->containing_oneof() == method->containing_oneof())
        return Invalid(path, absl::StrCat("cannot be combined with ", other->name()));
    }
    methods.push_back(method);
    absl::Status status =
        ReadOptions(options, path, *intervention.GetReflection()->MutableMessage(&intervention, method));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace varserve::openai
