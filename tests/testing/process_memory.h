// Changes the memory of a running process, as a device that breaks does. Linux.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace varserve::testing {

// Writes `there` over every copy of `known`, which is as long. The number of copies.
inline int ReplaceInMemory(int pid, const std::string& known, const std::string& there) {
  const int memory = open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDWR | O_CLOEXEC);
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  int copies = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    uint64_t begin = 0;
    uint64_t end = 0;
    char dash = 0;
    std::string rights;
    fields >> std::hex >> begin >> dash >> end >> rights;
    if (rights.substr(0, 2) != "rw") continue;
    std::string content(end - begin, '\0');
    const ssize_t size = pread(memory, content.data(), content.size(), static_cast<off_t>(begin));
    if (size <= 0) continue;
    content.resize(static_cast<size_t>(size));
    for (size_t at = 0; (at = content.find(known, at)) != content.npos; at += known.size()) {
      const ssize_t written = pwrite(memory, there.data(), there.size(), static_cast<off_t>(begin + at));
      copies += written == static_cast<ssize_t>(there.size());
    }
  }
  close(memory);
  return copies;
}

}  // namespace varserve::testing
