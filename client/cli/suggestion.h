// "did you mean": the known word closest to a mistyped one. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace varserve::cli {

// Empty if none is close.
std::string ClosestWord(absl::string_view word, const std::vector<std::string>& known);

}  // namespace varserve::cli
