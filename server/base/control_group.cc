#include "server/base/control_group.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace varserve {
namespace {

namespace fs = std::filesystem;

// Version 1 reports a number close to the maximum if there is no limit; no machine has this much memory.
constexpr int64_t kNoLimit = int64_t{1} << 60;

template <typename Number>
std::optional<Number> ReadNumber(const fs::path& file) {
  Number number = 0;
  if (std::ifstream(file) >> number) return number;
  return std::nullopt;
}

// Sum of two lines of a memory.stat file.
int64_t SumOf(const fs::path& stat, const std::string& a, const std::string& b) {
  std::ifstream file(stat);
  int64_t sum = 0;
  std::string key;
  for (int64_t value = 0; file >> key >> value;) {
    if (key == a || key == b) sum += value;
  }
  return sum;
}

// File names of one version of the memory controller.
struct MemoryFiles {
  const char* limit;
  const char* use;
  const char* cache[2];  // lines of memory.stat
};
constexpr MemoryFiles kVersion2 = {"memory.max", "memory.current", {"active_file", "inactive_file"}};
constexpr MemoryFiles kVersion1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_active_file", "total_inactive_file"}};

std::optional<int64_t> FreeIn(const fs::path& group, const MemoryFiles& files) {
  const auto limit = ReadNumber<int64_t>(group / files.limit);
  const auto use = ReadNumber<int64_t>(group / files.use);
  if (!limit || *limit >= kNoLimit || !use) return std::nullopt;
  const int64_t cache = SumOf(group / "memory.stat", files.cache[0], files.cache[1]);
  return std::max<int64_t>(*limit - std::max<int64_t>(*use - cache, 0), 0);
}

std::optional<double> QuotaIn(const fs::path& group) {
  std::ifstream v2(group / "cpu.max");
  double quota = 0;
  double period = 0;
  if (std::string text; v2 >> text >> period && absl::SimpleAtod(text, &quota) && period > 0)
    return quota / period;
  const auto v1_quota = ReadNumber<double>(group / "cpu.cfs_quota_us");
  const auto v1_period = ReadNumber<double>(group / "cpu.cfs_period_us");
  if (v1_quota.value_or(0) > 0 && v1_period.value_or(0) > 0) return *v1_quota / *v1_period;
  return std::nullopt;
}

template <typename Number>
void TakeLess(std::optional<Number>& least, const std::optional<Number>& value) {
  if (value && (!least || *value < *least)) least = value;
}

}  // namespace

std::vector<fs::path> ControlGroup::Directories(const std::string& controller,
                                                const std::string& mount) const {
  // Lines such as "4:memory:/path"; version 2 has number 0 and no controllers.
  fs::path group = "/";
  std::ifstream file(root_ / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) group = fields[2];
  }
  std::vector<fs::path> directories;
  for (fs::path at = group.relative_path();; at = at.parent_path()) {
    const fs::path directory = root_ / mount / at;
    std::error_code error;
    if (fs::is_directory(directory, error)) directories.push_back(directory);
    if (at.empty()) return directories;
  }
}

std::optional<double> ControlGroup::CpuQuota() const {
  std::optional<double> least;
  for (const fs::path& group : Directories("", "sys/fs/cgroup")) TakeLess(least, QuotaIn(group));
  for (const fs::path& group : Directories("cpu", "sys/fs/cgroup/cpu")) TakeLess(least, QuotaIn(group));
  return least;
}

std::optional<int64_t> ControlGroup::FreeMemory() const {
  std::optional<int64_t> least;
  for (const fs::path& group : Directories("", "sys/fs/cgroup")) TakeLess(least, FreeIn(group, kVersion2));
  for (const fs::path& group : Directories("memory", "sys/fs/cgroup/memory"))
    TakeLess(least, FreeIn(group, kVersion1));
  return least;
}

}  // namespace varserve
