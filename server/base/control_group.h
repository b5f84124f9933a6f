// What the control group of this process, and the groups above it, leave it: version 1 and version 2, in a
// container or outside. Reads the files again at every call. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace varserve {

class ControlGroup {
 public:
  // `root`: where /proc and /sys are; tests give a directory.
  explicit ControlGroup(std::filesystem::path root = "/") : root_(std::move(root)) {}

  // The smallest CPU quota, in CPUs: cpu.max, cpu.cfs_quota_us. None where no group has one.
  std::optional<double> CpuQuota() const;

  // Bytes until the first group is at its limit: memory.max, memory.limit_in_bytes. Page cache does not count
  // as used: the kernel takes it back before a limit is reached, and how much of it there is depends on what
  // was read before. None where no group has a limit.
  std::optional<int64_t> FreeMemory() const;

 private:
  // The group's directory and those above it under a controller's mount point. Those that a container does
  // not show are left out.
  std::vector<std::filesystem::path> Directories(const std::string& controller,
                                                 const std::string& mount) const;

  const std::filesystem::path root_;
};

// How many CPUs this process may use: the smaller of the CPUs it is scheduled on and the quota, rounded up;
// at least 1. Thread-safe.
int UsableCpus();

}  // namespace varserve
