// Values of command-line flags. Errors are INVALID_ARGUMENT beginning with the flag's name. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve {

absl::Status InvalidFlag(absl::string_view flag, absl::string_view problem);

// Bytes from text such as "20G", "800M", "1.5K" or "1000"; the units are powers of 1024.
absl::StatusOr<int64_t> FlagBytes(absl::string_view flag, absl::string_view text);

// A folder that exists. `holds`: what has to be in it, "config.json".
absl::Status FlagDirectory(absl::string_view flag, const std::string& path, absl::string_view holds);

// The index of the value among these names.
absl::StatusOr<int> FlagChoice(absl::string_view flag, absl::string_view value,
                               std::vector<std::string> names);

absl::Status FlagAtLeast(absl::string_view flag, int64_t value, int64_t least);
absl::Status FlagInRange(absl::string_view flag, int64_t value, int64_t least, int64_t most);

}  // namespace varserve
