#include "server/base/control_group.h"

#include <gmock/gmock.h>

#include "tests/testing/temp_dir.h"

namespace varserve {
namespace {

using ::testing::DoubleEq;
using ::testing::Optional;

constexpr int64_t kMiB = 1 << 20;

// A machine's /proc and /sys.
class ControlGroupTest : public ::testing::Test {
 protected:
  ControlGroup group() const { return ControlGroup(root_.path()); }

  const testing::TempDir root_;
};

TEST_F(ControlGroupTest, NoLimits) {
  EXPECT_EQ(group().CpuQuota(), std::nullopt);
  EXPECT_EQ(group().FreeMemory(), std::nullopt);
  root_.Write("proc/self/cgroup", "4:memory:/\n1:cpu:/\n0::/\n");
  root_.Write("sys/fs/cgroup/cpu.max", "max 100000\n");
  root_.Write("sys/fs/cgroup/memory.max", "max\n");
  root_.Write("sys/fs/cgroup/memory.current", "1048576\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root_.Write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root_.Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  root_.Write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n");
  EXPECT_EQ(group().CpuQuota(), std::nullopt);
  EXPECT_EQ(group().FreeMemory(), std::nullopt);
}

TEST_F(ControlGroupTest, PageCacheIsFree) {
  root_.Write("proc/self/cgroup", "0::/\n");
  root_.Write("sys/fs/cgroup/memory.max", std::to_string(4000 * kMiB));
  root_.Write("sys/fs/cgroup/memory.current", std::to_string(3100 * kMiB));
  EXPECT_THAT(group().FreeMemory(), Optional(900 * kMiB));
  root_.Write("sys/fs/cgroup/memory.stat", "anon 104857600\nactive_file " + std::to_string(1000 * kMiB) +
                                               "\ninactive_file " + std::to_string(2000 * kMiB) +
                                               "\nshmem 0\n");
  EXPECT_THAT(group().FreeMemory(), Optional(3900 * kMiB));
}

TEST_F(ControlGroupTest, Version1) {
  root_.Write("proc/self/cgroup", "9:name=systemd:/x\n4:memory:/pod/box\n2:cpu,cpuacct:/pod/box\n0::/\n");
  root_.Write("sys/fs/cgroup/memory/pod/box/memory.limit_in_bytes", std::to_string(4000 * kMiB));
  root_.Write("sys/fs/cgroup/memory/pod/box/memory.usage_in_bytes", std::to_string(3100 * kMiB));
  root_.Write(
      "sys/fs/cgroup/memory/pod/box/memory.stat",
      "active_file 1\ntotal_active_file 0\ntotal_inactive_file " + std::to_string(3000 * kMiB) + "\n");
  root_.Write("sys/fs/cgroup/cpu/pod/box/cpu.cfs_quota_us", "250000\n");
  root_.Write("sys/fs/cgroup/cpu/pod/box/cpu.cfs_period_us", "100000\n");
  EXPECT_THAT(group().FreeMemory(), Optional(3900 * kMiB));
  EXPECT_THAT(group().CpuQuota(), Optional(DoubleEq(2.5)));
}

TEST_F(ControlGroupTest, TheTightestOfTheGroupsAbove) {
  root_.Write("proc/self/cgroup", "0::/pod/box\n");
  root_.Write("sys/fs/cgroup/pod/box/cpu.max", "400000 100000\n");
  root_.Write("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  root_.Write("sys/fs/cgroup/pod/box/memory.max", std::to_string(900 * kMiB));
  root_.Write("sys/fs/cgroup/pod/box/memory.current", std::to_string(100 * kMiB));
  root_.Write("sys/fs/cgroup/pod/memory.max", std::to_string(1000 * kMiB));
  root_.Write("sys/fs/cgroup/pod/memory.current", std::to_string(600 * kMiB));
  EXPECT_THAT(group().CpuQuota(), Optional(DoubleEq(1.5)));
  EXPECT_THAT(group().FreeMemory(), Optional(400 * kMiB));
}

// A container without a cgroup namespace sees the host's path, and its own group at the mount point.
TEST_F(ControlGroupTest, AContainerThatSeesTheHostsPath) {
  root_.Write("proc/self/cgroup", "0::/kubepods/pod1/container2\n");
  root_.Write("sys/fs/cgroup/memory.max", std::to_string(500 * kMiB));
  root_.Write("sys/fs/cgroup/memory.current", std::to_string(100 * kMiB));
  EXPECT_THAT(group().FreeMemory(), Optional(400 * kMiB));
}

TEST_F(ControlGroupTest, OverItsLimit) {
  root_.Write("sys/fs/cgroup/memory.max", std::to_string(100 * kMiB));
  root_.Write("sys/fs/cgroup/memory.current", std::to_string(200 * kMiB));
  EXPECT_THAT(group().FreeMemory(), Optional(0));
}

}  // namespace
}  // namespace varserve
