// Ends an answer before the first of its stop strings. Text goes in as it becomes final and comes out when it
// can no longer be the beginning of a stop string. The first complete stop string ends the answer; of several
// that end at the same position, the longest. How the text is cut into pieces makes no difference.
// Thread-compatible.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace varserve::text {

class StopMatcher {
 public:
  // No stop string is empty.
  explicit StopMatcher(std::vector<std::string> stop_strings) : stop_strings_(std::move(stop_strings)) {}

  // The text that may be sent now; empty after a stop string. `held` is text that would follow if the answer
  // ended here. It is searched for a stop string, which would end the answer, but is not sent otherwise: it
  // comes again with the next piece.
  std::string Add(absl::string_view text, absl::string_view held = "");

  // The text still held back if the answer ended without a stop string.
  std::string Finish();

  // A stop string was reached.
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stop_strings_;
  std::string pending_;  // may be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace varserve::text
