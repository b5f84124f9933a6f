#include "server/text/text_marks.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace varserve::text {
namespace {

// Noncharacters, which no ordinary text has. One that does occur is escaped, so no input can forge or hide a
// mark.
constexpr absl::string_view kEscape = "\xEF\xB7\x90";   // U+FDD0
constexpr absl::string_view kMark = "\xEF\xB7\x91";     // U+FDD1 after kEscape: a mark
constexpr absl::string_view kLiteral = "\xEF\xB7\x92";  // U+FDD2 after kEscape: the character kEscape itself

}  // namespace

std::string AddMarks(absl::string_view text, absl::Span<const uint32_t> offsets) {
  std::string marked;
  marked.reserve(text.size() + offsets.size() * (kEscape.size() + kMark.size()));
  auto next = offsets.begin();
  for (size_t at = 0; at < text.size();) {
    if (next != offsets.end() && *next == at) {
      absl::StrAppend(&marked, kEscape, kMark);
      ++next;
    }
    if (absl::StartsWith(text.substr(at), kEscape)) {
      absl::StrAppend(&marked, kEscape, kLiteral);
      at += kEscape.size();
    } else {
      marked.push_back(text[at++]);
    }
  }
  return marked;
}

UnmarkedText TakeMarks(absl::string_view text) {
  UnmarkedText result;
  result.text.reserve(text.size());
  while (!text.empty()) {
    const size_t escape = text.find(kEscape);
    absl::StrAppend(&result.text, text.substr(0, escape));
    if (escape == absl::string_view::npos) break;
    text.remove_prefix(escape + kEscape.size());
    if (absl::StartsWith(text, kMark)) {
      text.remove_prefix(kMark.size());
      result.offsets.push_back(static_cast<uint32_t>(result.text.size()));
    } else {
      absl::StrAppend(&result.text, kEscape);
      if (absl::StartsWith(text, kLiteral)) text.remove_prefix(kLiteral.size());
    }
  }
  return result;
}

}  // namespace varserve::text
