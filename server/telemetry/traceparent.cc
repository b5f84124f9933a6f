#include "server/telemetry/traceparent.h"

namespace varserve::telemetry {
namespace {

constexpr size_t kSize = 55;  // version 00
constexpr size_t kMaxSize = 256;

bool IsHex(absl::string_view text) { return text.find_first_not_of("0123456789abcdef") == text.npos; }
bool IsId(absl::string_view text) { return IsHex(text) && text.find_first_not_of('0') != text.npos; }

}  // namespace

bool IsTraceparent(absl::string_view text) {
  if (text.size() < kSize || text.size() > kMaxSize) return false;
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const absl::string_view version = text.substr(0, 2);
  if (!IsHex(version) || version == "ff") return false;
  if (text.size() > kSize && (version == "00" || text[kSize] != '-')) return false;
  for (const char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return IsId(text.substr(3, 32)) && IsId(text.substr(36, 16)) && IsHex(text.substr(53, 2));
}

}  // namespace varserve::telemetry
