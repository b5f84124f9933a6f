#include "server/telemetry/line_limit.h"

namespace varserve::telemetry {

bool LineLimit::Admit(absl::string_view kind, absl::Time now) {
  Window& window = windows_.try_emplace(std::string(kind), Window{.begin = now}).first->second;
  return ++window.lines <= lines_;
}

std::vector<LineLimit::LeftOut> LineLimit::EndWindows(absl::Time now) {
  std::vector<LeftOut> left_out;
  for (auto entry = windows_.begin(); entry != windows_.end();) {
    const auto& [kind, window] = *entry;
    if (now - window.begin < window_) {
      ++entry;
      continue;
    }
    if (window.lines > lines_) left_out.push_back({.kind = kind, .lines = window.lines - lines_});
    entry = windows_.erase(entry);
  }
  return left_out;
}

}  // namespace varserve::telemetry
