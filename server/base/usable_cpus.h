// How many threads of heavy arithmetic this process has room for.
#pragma once

#include <filesystem>
#include <set>

namespace varserve {

// Of these CPUs, one per core: two threads of a core share the units that multiply. Of a hybrid processor
// only the performance cores, unless none is among the CPUs: threads that share a matrix evenly would wait
// for the slower ones. `root`: the directory with /sys; tests pass their own. Thread-safe.
std::set<int> ComputeCpus(const std::set<int>& cpus, const std::filesystem::path& root = "/");

// Compute threads for this process: ComputeCpus() of the CPUs it may be scheduled on, or its control group's
// quota, rounded up, whichever is smaller; at least 1. Thread-safe.
int UsableCpus();

}  // namespace varserve
