// How many CPUs this process may use.
#pragma once

namespace varserve {

// The smaller of the CPUs it is scheduled on and its control group's quota (v2 cpu.max, v1 cfs_quota_us),
// rounded up, at least
// 1. Thread-safe.
int CpuQuota();

}  // namespace varserve
