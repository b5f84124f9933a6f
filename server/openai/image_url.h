// Pictures as a request has them: data URLs (RFC 2397), http and https URLs, or "sha256:" and the digest of a
// picture that was sent before. Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/digest.h"

namespace varserve::openai {

struct Picture {
  std::string field;             // its name in the request
  std::string bytes;             // encoded
  std::optional<Digest> digest;  // in place of the bytes
  std::string url;               // http or https, in place of the bytes
};

// INVALID_ARGUMENT beginning with `field` for any other URL.
absl::StatusOr<Picture> ReadImageUrl(std::string field, absl::string_view url);

}  // namespace varserve::openai
