// Calls functions of the tokenizer crate's C ABI and turns what they return into absl::StatusOr. Only for
// tokenizer.cc and chat_template.cc. Thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/text/tokenizer_ffi/tokenizer_ffi.h"

namespace varserve::text {

inline TfText ToText(absl::string_view text) { return {text.data(), text.size()}; }

inline std::string TakeString(TfString string) {
  std::string text(string.data, string.size);
  tf_string_free(string);
  return text;
}

inline std::vector<uint32_t> TakeIds(TfIds ids) {
  std::vector<uint32_t> values(ids.data, ids.data + ids.size);
  tf_ids_free(ids);
  return values;
}

// FfiCall<Result>(function, arguments...): function(arguments..., &result, &error).
template <typename Result, typename Function, typename... Arguments>
absl::StatusOr<Result> FfiCall(Function function, Arguments... arguments) {
  Result result{};
  TfString error{};
  const TfCode code = function(arguments..., &result, &error);
  if (code == TF_OK) return result;
  return absl::Status(
      code == TF_INVALID_ARGUMENT ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kInternal,
      TakeString(error));
}

}  // namespace varserve::text
