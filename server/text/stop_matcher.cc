#include "server/text/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace varserve::text {

std::string StopMatcher::Add(absl::string_view text, absl::string_view held) {
  if (stopped_) return "";
  absl::StrAppend(&pending_, text, held);

  size_t first_begin = std::string::npos;
  size_t first_end = std::string::npos;
  for (const std::string& stop : stop_strings_) {
    const size_t begin = pending_.find(stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (end < first_end || (end == first_end && begin < first_begin)) {
      first_begin = begin;
      first_end = end;
    }
  }
  if (first_end != std::string::npos) {
    stopped_ = true;
    pending_.resize(first_begin);
    return std::exchange(pending_, "");
  }

  pending_.resize(pending_.size() - held.size());
  size_t begun = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stop_strings_) {
    for (size_t size = std::min(stop.size() - 1, pending_.size()); size > begun; --size) {
      if (absl::EndsWith(pending_, absl::string_view(stop).substr(0, size))) begun = size;
    }
  }
  std::string sent = pending_.substr(0, pending_.size() - begun);
  pending_.erase(0, sent.size());
  return sent;
}

std::string StopMatcher::Finish() { return std::exchange(pending_, ""); }

}  // namespace varserve::text
