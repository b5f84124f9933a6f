// Pictures inside a request: data URLs, RFC 2397. Thread-safe.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve::openai {

// The bytes of "data:image/png;base64,...". INVALID_ARGUMENT beginning with `field` for any other URL.
absl::StatusOr<std::string> ReadDataUrl(absl::string_view field, absl::string_view url);

}  // namespace varserve::openai
