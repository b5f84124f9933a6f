// Text of a URL's path. Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace varserve::http {

// With the bytes of escapes such as "%2F"; a "+" stays one. None if a "%" is not followed by two hexadecimal
// digits.
std::optional<std::string> PercentDecoded(absl::string_view text);

}  // namespace varserve::http
