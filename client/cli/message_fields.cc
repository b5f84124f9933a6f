#include "client/cli/message_fields.h"

#include <google/protobuf/descriptor.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Dashes(absl::string_view name) { return absl::StrReplaceAll(name, {{"_", "-"}}); }
std::string Underscores(absl::string_view name) { return absl::StrReplaceAll(name, {{"-", "_"}}); }

// VAR_PRESET_ of VAR_PRESET_UNSPECIFIED, which comes first, is the prefix of all.
std::string ShortName(const EnumValueDescriptor& value) {
  const std::string& unspecified = value.type()->value(0)->name();
  const size_t prefix = unspecified.size() - absl::string_view("UNSPECIFIED").size();
  return Dashes(absl::AsciiStrToLower(value.name().substr(prefix)));
}

// Names a caller may give: all but UNSPECIFIED.
std::vector<std::string> EnumNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) names.push_back(ShortName(*type.value(i)));
  return names;
}

absl::Status Invalid(absl::string_view name, absl::string_view text, absl::string_view expected) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": \"", text, "\" is not ", expected));
}

absl::Status SetEnum(const FieldDescriptor& field, absl::string_view text, Message& message) {
  const EnumDescriptor& type = *field.enum_type();
  for (int i = 1; i < type.value_count(); ++i) {
    if (ShortName(*type.value(i)) != Dashes(absl::AsciiStrToLower(text))) continue;
    message.GetReflection()->SetEnum(&message, &field, type.value(i));
    return absl::OkStatus();
  }
  return Invalid(field.name(), text, absl::StrCat("one of ", absl::StrJoin(EnumNames(type), ", ")));
}

// "7" or "3-9".
absl::Status AddNumbers(const FieldDescriptor& field, absl::string_view text, Message& message) {
  constexpr uint32_t kMostNumbers = 4096;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(text, absl::MaxSplits('-', 1));
  uint32_t first = 0;
  uint32_t last = 0;
  if (!absl::SimpleAtoi(ends.first, &first) ||
      !absl::SimpleAtoi(ends.second.empty() ? ends.first : ends.second, &last) || first > last ||
      last - first > kMostNumbers) {
    return Invalid(field.name(), text, "a number or a range like 3-9");
  }
  // Counted from 0: after the greatest number comes none.
  for (uint32_t i = 0; i <= last - first; ++i)
    message.GetReflection()->AddUInt32(&message, &field, first + i);
  return absl::OkStatus();
}

// What a value looks like, for --help.
std::string TypeName(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("{", absl::StrJoin(EnumNames(*field.enum_type()), ","), "}");
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "NUMBER";
    case FieldDescriptor::CPPTYPE_STRING:
      return "TEXT";
    default:
      return field.is_repeated() ? "N-M" : "N";
  }
}

}  // namespace

std::string EnumName(const EnumDescriptor& type, int value) {
  const EnumValueDescriptor* known = type.FindValueByNumber(value);
  return known == nullptr ? absl::StrCat(value) : ShortName(*known);
}

absl::Status SetField(absl::string_view name, absl::string_view text, Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(Underscores(name));
  if (field == nullptr) {
    std::vector<std::string> known;
    known.reserve(message.GetDescriptor()->field_count());
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      known.push_back(message.GetDescriptor()->field(i)->name());
    }
    return absl::InvalidArgumentError(absl::StrCat(name, ": is not one of ", absl::StrJoin(known, ", ")));
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(*field, text, message);
    case FieldDescriptor::CPPTYPE_FLOAT: {
      float value = 0;
      if (!absl::SimpleAtof(text, &value)) return Invalid(name, text, "a number");
      reflection.SetFloat(&message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      if (field->is_repeated()) return AddNumbers(*field, text, message);
      uint32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return Invalid(name, text, "a whole number of at least 0");
      reflection.SetUInt32(&message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) return Invalid(name, text, "a whole number of at least 0");
      reflection.SetUInt64(&message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool value = false;
      if (!absl::SimpleAtob(text, &value)) return Invalid(name, text, "true or false");
      reflection.SetBool(&message, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING:
      if (!IsUtf8(text)) return Invalid(name, Printable(text), "UTF-8");
      if (field->is_repeated()) {
        reflection.AddString(&message, field, std::string(text));
      } else {
        reflection.SetString(&message, field, std::string(text));
      }
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(absl::StrCat(name, ": cannot be set from text"));
  }
}

CLI::Option* AddFieldFlag(CLI::App& app, Message& message, const std::string& field, const std::string& help,
                          std::string flag) {
  const FieldDescriptor& descriptor = *message.GetDescriptor()->FindFieldByName(field);
  if (flag.empty()) flag = absl::StrCat("--", Dashes(field));
  if (descriptor.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    return app.add_flag_callback(
        flag, [&message, field] { SetField(field, "true", message).IgnoreError(); }, help);
  }
  CLI::Option* option = app.add_option_function<std::vector<std::string>>(
      flag,
      [&message, field](const std::vector<std::string>& values) {
        for (const std::string& value : values)
          SetField(field, value, message).IgnoreError();  // checked below
      },
      help);
  option->allow_extra_args(false)->type_name(TypeName(descriptor));
  if (!descriptor.is_repeated()) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  option->check([&message, field](const std::string& value) {
    const std::unique_ptr<Message> scratch(message.New());
    const absl::Status status = SetField(field, value, *scratch);
    return std::string(
        absl::StripPrefix(status.message(), absl::StrCat(field, ": ")));  // the parser names the flag
  });
  return option;
}

}  // namespace varserve::cli
