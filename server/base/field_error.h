// Errors that begin with the name of a field, so that a caller knows what to change. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace varserve {

inline absl::Status Invalid(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

// "INVALID_ARGUMENT: options.top_p: ..." becomes "... settings[2].top_p: ..." and so on: puts `prefix` before
// the message.
inline absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(prefix, status.message()));
}

}  // namespace varserve
