// Lets the first few lines of one kind in a time window through and counts the rest. A window begins with its
// first line. Pure policy. Thread-compatible.
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

  // Whether to write this line.
  bool Admit(absl::string_view kind, absl::Time now);

  struct LeftOut {
    std::string kind;
    int64_t lines = 0;
  };
  // Ends expired windows and returns what was left out in them.
  std::vector<LeftOut> EndWindows(absl::Time now);

 private:
  struct Window {
    absl::Time begin;
    int64_t lines = 0;  // that came, written or not
  };

  const int lines_;
  const absl::Duration window_;
  std::map<std::string, Window, std::less<>> windows_;
};

}  // namespace varserve::telemetry
