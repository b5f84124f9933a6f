// What a process holds, from /proc. Linux.
#pragma once

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace varserve::testing {

// A number of /proc/PID/status: "Threads", "VmRSS" (kB), ...
inline int64_t ProcessStatus(int pid, const std::string& key) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string word; file >> word; file.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
    int64_t value = 0;
    if (word == key + ":" && file >> value) return value;
  }
  return -1;
}

}  // namespace varserve::testing
