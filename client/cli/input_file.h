// Files named on the command line. Thread-compatible.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace varserve::cli {

// All bytes of a file, or of standard input for "-"; at most 1 GiB, more fits no request. The error begins
// with the path.
absl::StatusOr<std::string> ReadInput(const std::string& path);

}  // namespace varserve::cli
