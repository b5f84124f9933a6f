// A conversation in a JSON file, in the form of Hugging Face's chat templates. Thread-compatible.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::cli {

// [{"role": "user", "content": [{"type": "image", "path": "cat.jpg"}, {"type": "text", "text": "What is
// it?"}]}, ...]; a content of text alone may be a string. `read_image` gives a path's bytes. INVALID_ARGUMENT
// beginning with the place.
absl::StatusOr<google::protobuf::RepeatedPtrField<v1::Message>> ParseMessages(
    absl::string_view json, absl::FunctionRef<absl::StatusOr<std::string>(const std::string&)> read_image);

}  // namespace varserve::cli
