#include "server/openai/data_url.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/field_error.h"

namespace varserve::openai {

absl::StatusOr<std::string> ReadDataUrl(absl::string_view field, absl::string_view url) {
  constexpr absl::string_view kExample = "send the picture itself: data:image/jpeg;base64,...";
  if (absl::StartsWithIgnoreCase(url, "http://") || absl::StartsWithIgnoreCase(url, "https://"))
    return Invalid(field, absl::StrCat("this server fetches no pictures from other servers; ", kExample));
  if (!absl::StartsWithIgnoreCase(url, "data:"))
    return Invalid(field, absl::StrCat("is not a data: URL; ", kExample));
  const size_t comma = url.find(',');
  if (comma == url.npos) return Invalid(field, absl::StrCat("has no comma before its data; ", kExample));
  if (!absl::EndsWithIgnoreCase(url.substr(0, comma), ";base64"))
    return Invalid(field, absl::StrCat("its data is not marked as base64; ", kExample));
  std::string bytes;
  if (!absl::Base64Unescape(url.substr(comma + 1), &bytes))
    return Invalid(field, "its data is not valid base64");
  return bytes;
}

}  // namespace varserve::openai
