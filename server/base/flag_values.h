// Values of command-line flags. Errors are INVALID_ARGUMENT beginning with the flag's name. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve {

absl::Status InvalidFlag(absl::string_view flag, absl::string_view problem);

// Bytes from text such as "20G", "800M", "1.5K" or "1000"; the units are powers of 1024.
absl::StatusOr<int64_t> FlagBytes(absl::string_view flag, absl::string_view text);

absl::Status FlagAtLeast(absl::string_view flag, int64_t value, int64_t least);
absl::Status FlagInRange(absl::string_view flag, int64_t value, int64_t least, int64_t most);

}  // namespace varserve
