#include "server/openai/var_options.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

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
using nlohmann::json;

const FieldDescriptor* FieldOf(const std::string& name) {
  const Descriptor& type = *v1::VarOptions::descriptor();
  const FieldDescriptor* field = type.FindFieldByName(name);
  return field != nullptr ? field : type.FindFieldByCamelcaseName(name);
}

std::string FieldNames() {
  std::vector<std::string> names;
  for (int i = 0; i < v1::VarOptions::descriptor()->field_count(); ++i)
    names.push_back(v1::VarOptions::descriptor()->field(i)->name());
  return absl::StrJoin(names, ", ");
}

// "VAR_MODE_" of VarMode: what its value 0 has before UNSPECIFIED.
std::string PrefixOf(const EnumDescriptor& type) {
  return std::string(absl::StripSuffix(type.FindValueByNumber(0)->name(), "UNSPECIFIED"));
}

absl::Status ReadEnum(const std::string& path, const FieldDescriptor& field, const json& value,
                      v1::VarOptions& options) {
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
  return Invalid(path, absl::StrCat("is not one of ", absl::StrJoin(names, ", ")));
}

absl::string_view KindOf(const FieldDescriptor& field) {
  if (field.is_repeated()) return "a list of integers";
  return field.type() == FieldDescriptor::TYPE_FLOAT ? "a number" : "an integer";
}

}  // namespace

absl::Status ReadVarOptions(const json& object, v1::VarOptions& options) {
  if (!object.is_object()) return Invalid("var", absl::StrCat("is ", KindOf(object), ", not an object"));
  for (const auto& [name, value] : object.items()) {
    const std::string path = absl::StrCat("var.", name.substr(0, 64));
    const FieldDescriptor* field = FieldOf(name);
    if (field == nullptr) return Invalid(path, absl::StrCat("is not known; there is ", FieldNames()));
    if (value.is_null()) continue;
    if (field->type() == FieldDescriptor::TYPE_ENUM) {
      if (absl::Status status = ReadEnum(path, *field, value, options); !status.ok()) return status;
      continue;
    }
    v1::VarOptions one;
    const std::string text = json{{name, value}}.dump();
    if (!google::protobuf::util::JsonStringToMessage(text, &one).ok())
      return Invalid(path, absl::StrCat("is ", ShortText(value), ", not ", KindOf(*field)));
    if (field->is_repeated()) options.GetReflection()->ClearField(&options, field);
    options.MergeFrom(one);
  }
  return absl::OkStatus();
}

}  // namespace varserve::openai
