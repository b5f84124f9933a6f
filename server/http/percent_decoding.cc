#include "server/http/percent_decoding.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"

namespace varserve::http {

std::optional<std::string> PercentDecoded(absl::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    if (text.front() != '%') {
      decoded.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    const absl::string_view digits = text.substr(1, 2);
    if (digits.size() < 2 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit))
      return std::nullopt;
    decoded += absl::HexStringToBytes(digits);
    text.remove_prefix(3);
  }
  return decoded;
}

}  // namespace varserve::http
