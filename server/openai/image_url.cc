#include "server/openai/image_url.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"

namespace varserve::openai {
namespace {

constexpr absl::string_view kDigestScheme = "sha256:";

bool IsHttp(absl::string_view url) {
  return absl::StartsWithIgnoreCase(url, "http://") || absl::StartsWithIgnoreCase(url, "https://");
}

absl::StatusOr<std::string> ReadDataUrl(absl::string_view field, absl::string_view url) {
  constexpr absl::string_view kExample = "send the picture itself: data:image/jpeg;base64,...";
  if (!absl::StartsWithIgnoreCase(url, "data:"))
    return Invalid(field, absl::StrCat("is not a data:, http: or https: URL; ", kExample));
  const size_t comma = url.find(',');
  if (comma == url.npos) return Invalid(field, absl::StrCat("has no comma before its data; ", kExample));
  if (!absl::EndsWithIgnoreCase(url.substr(0, comma), ";base64"))
    return Invalid(field, absl::StrCat("its data is not marked as base64; ", kExample));
  std::string bytes;
  if (!absl::Base64Unescape(url.substr(comma + 1), &bytes))
    return Invalid(field, "its data is not valid base64");
  if (bytes.empty()) return Invalid(field, "is empty; send the bytes of a JPEG, PNG or WebP");
  return bytes;
}

}  // namespace

absl::StatusOr<Picture> ReadImageUrl(std::string field, absl::string_view url) {
  Picture picture{.field = std::move(field), .bytes = "", .digest = std::nullopt, .url = ""};
  if (IsHttp(url)) {
    picture.url = std::string(url);
    return picture;
  }
  if (absl::StartsWithIgnoreCase(url, kDigestScheme)) {
    picture.digest = DigestFromHex(url.substr(kDigestScheme.size()));
    if (!picture.digest.has_value())
      return Invalid(picture.field,
                     "sha256: is not followed by the 64 hexadecimal digits of a picture's SHA-256");
    return picture;
  }
  ASSIGN_OR_RETURN(picture.bytes, ReadDataUrl(picture.field, url));
  return picture;
}

}  // namespace varserve::openai
