// CPU quota and free memory of this process's control group and its parents, version 1 and version 2, inside
// or outside a container. Reads the files on each call. Thread-safe.
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
  // `root`: the directory with /proc and /sys; tests pass their own.
  explicit ControlGroup(std::filesystem::path root = "/") : root_(std::move(root)) {}

  // The smallest CPU quota, in CPUs (cpu.max, cpu.cfs_quota_us); nullopt if no group has one.
  std::optional<double> CpuQuota() const;

  // Bytes until the first group reaches its limit (memory.max, memory.limit_in_bytes); nullopt if no group
  // has one. Page cache does not count as used: the kernel reclaims it before a limit is reached, and its
  // size depends on what was read before.
  std::optional<int64_t> FreeMemory() const;

 private:
  // The group's directory and its parents under a controller's mount point, except those that a container
  // does not expose.
  std::vector<std::filesystem::path> Directories(const std::string& controller,
                                                 const std::string& mount) const;

  const std::filesystem::path root_;
};

}  // namespace varserve
