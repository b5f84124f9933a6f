#include "server/fetch/host_list.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace varserve::fetch {
namespace {

bool IsName(absl::string_view text) {
  return !text.empty() && text.front() != '.' && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
  });
}

bool IsBracketed(absl::string_view text) {
  return absl::ConsumePrefix(&text, "[") && absl::ConsumeSuffix(&text, "]") && !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.';
         });
}

}  // namespace

absl::StatusOr<HostList> HostList::Parse(absl::string_view text) {
  HostList list;
  for (absl::string_view host : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    host = absl::StripAsciiWhitespace(host);
    absl::string_view name = host;
    const bool below = absl::ConsumePrefix(&name, "*.");
    if (host != "*" && !IsName(name) && (below || !IsBracketed(name))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", host, "\" is not a host's name or address, *.NAME or *; write no scheme, port or path"));
    }
    list.hosts_.push_back(host == "*" ? "" : absl::StrCat(below ? "." : "", absl::AsciiStrToLower(name)));
  }
  return list;
}

bool HostList::Allows(absl::string_view host) const {
  const std::string name = absl::AsciiStrToLower(absl::StripSuffix(host, "."));
  return std::any_of(hosts_.begin(), hosts_.end(), [&name](absl::string_view allowed) {
    return absl::StartsWith(allowed, ".") ? absl::EndsWith(name, allowed)
                                          : allowed.empty() || name == allowed;
  });
}

}  // namespace varserve::fetch
