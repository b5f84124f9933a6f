// Options as the fields of a request: text to a field, and a flag for a field. Thread-compatible.
//
// The proto is the one list of options, names and kinds: a flag is the field's name with dashes
// (--max-tokens), an enum's values are its names without the prefix, in lower case (VAR_PRESET_VISION_CENTRIC
// is vision-centric).
#pragma once

#include <google/protobuf/generated_enum_reflection.h>
#include <google/protobuf/message.h>

#include <CLI/App.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace varserve::cli {

// Sets the field called `name`, with dashes or underscores, from text; adds to a repeated one, where numbers
// may be a range, "3-9". INVALID_ARGUMENT beginning with the name. Ranges of values are the server's to
// check.
absl::Status SetField(absl::string_view name, absl::string_view text, google::protobuf::Message& message);

// Adds the flag of a field, which must exist; `flag` if it is not the field's name. The message must outlive
// the parsing.
CLI::Option* AddFieldFlag(CLI::App& app, google::protobuf::Message& message, const std::string& field,
                          const std::string& help, std::string flag = "");

// "vision-centric" of VAR_PRESET_VISION_CENTRIC; of a value that only a newer server knows, its number.
std::string EnumName(const google::protobuf::EnumDescriptor& type, int value);
template <typename Enum>
std::string EnumName(Enum value) {
  return EnumName(*google::protobuf::GetEnumDescriptor<Enum>(), static_cast<int>(value));
}

}  // namespace varserve::cli
