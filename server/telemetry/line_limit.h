// Of lines of one kind, lets the first few of a window of time through and counts the rest. Windows begin
// with a line. Pure policy. Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace varserve::telemetry {

class LineLimit {
 public:
  LineLimit(int lines, absl::Duration window) : lines_(lines), window_(window) {}

  // Whether this line is to be written.
  bool Admit(absl::string_view kind, absl::Time now);

  struct LeftOut {
    std::string kind;
    int64_t lines = 0;
  };
  // Ends the windows that are over; what was left out in them, if anything.
  std::vector<LeftOut> EndWindows(absl::Time now);

 private:
  struct Window {
    absl::Time begin;
    int64_t lines = 0;  // that came
  };

  const int lines_;
  const absl::Duration window_;
  std::map<std::string, Window, std::less<>> windows_;
};

}  // namespace varserve::telemetry
