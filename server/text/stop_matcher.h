// Ends an answer before the first of its stop strings. Text goes in as it becomes final and comes out when it
// can no longer be the beginning of a stop string. The stop string that is complete first ends the answer (of
// several that end at the same place, the longest); how the text is cut into pieces makes no difference.
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

  // The text that may be sent now. After a stop string was reached this is always empty. `held` is what would
  // follow if the answer ended here, and may change if it does not: it is looked at for a stop string, since
  // that ends the answer, and only then sent. It comes again with the next piece.
  std::string Add(absl::string_view text, absl::string_view held = "");

  // The text held back, when the answer ended without a stop string.
  std::string Finish();

  // A stop string was reached.
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stop_strings_;
  std::string pending_;  // may be the beginning of a stop string
  bool stopped_ = false;
};

}  // namespace varserve::text
