#include "client/cli/input_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace varserve::cli {
namespace {

constexpr int64_t kMostBytes = 1 << 30;

absl::StatusOr<std::string> ReadAll(const std::string& name, std::FILE* file) {
  const absl::Status too_large =
      absl::InvalidArgumentError(absl::StrCat(name, ": is larger than 1 GiB; no request can hold that"));
  struct stat info = {};
  if (fstat(fileno(file), &info) == 0 && info.st_size > kMostBytes) return too_large;
  std::string contents;
  char buffer[1 << 16];
  while (const size_t size = std::fread(buffer, 1, sizeof(buffer), file)) {
    if (contents.size() + size > kMostBytes) return too_large;
    contents.append(buffer, size);
  }
  if (std::ferror(file) == 0) return contents;
  return absl::InvalidArgumentError(absl::StrCat(name, ": cannot be read: ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path) {
  if (path == "-") return ReadAll("standard input", stdin);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (file == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno)));
  return ReadAll(path, file.get());
}

}  // namespace varserve::cli
