#include "server/base/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/control_group.h"

namespace varserve {
namespace {

namespace fs = std::filesystem;

constexpr int kSets = 64;
constexpr int kMostCpus = kSets * CPU_SETSIZE;  // more than any kernel is built for

// CPUs of a list such as "0-3,8", as the kernel writes them; empty if there is no such file.
std::set<int> ReadCpuList(const fs::path& file) {
  std::string list;
  std::ifstream(file) >> list;
  std::set<int> cpus;
  for (const auto range : absl::StrSplit(list, ',', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> ends = absl::StrSplit(range, absl::MaxSplits('-', 1));
    int first = 0;
    if (!absl::SimpleAtoi(ends.first, &first)) return {};
    int last = first;
    if (!ends.second.empty() && (!absl::SimpleAtoi(ends.second, &last) || last >= kMostCpus)) return {};
    for (int cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
  }
  return cpus;
}

std::set<int> Intersection(const std::set<int>& a, const std::set<int>& b) {
  std::set<int> both;
  std::ranges::set_intersection(a, b, std::inserter(both, both.end()));
  return both;
}

std::set<int> SchedulableCpus() {
  std::vector<cpu_set_t> sets(kSets);
  const size_t bytes = kSets * sizeof(cpu_set_t);
  std::set<int> cpus;
  if (sched_getaffinity(0, bytes, sets.data()) != 0) return {0};
  for (int cpu = 0; cpu < kMostCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, bytes, sets.data())) cpus.insert(cpu);
  }
  return cpus;
}

}  // namespace

std::set<int> ComputeCpus(const std::set<int>& cpus, const fs::path& root) {
  const fs::path devices = root / "sys/devices";
  std::set<int> candidates = Intersection(cpus, ReadCpuList(devices / "cpu_core/cpus"));  // hybrid only
  if (candidates.empty()) candidates = cpus;
  std::set<int> first_of_cores;
  for (const int cpu : candidates) {
    const std::set<int> core =
        ReadCpuList(devices / absl::StrCat("system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    if (Intersection(core, first_of_cores).empty()) first_of_cores.insert(cpu);
  }
  return first_of_cores;
}

int UsableCpus() {
  int cpus = static_cast<int>(ComputeCpus(SchedulableCpus()).size());
  if (const auto quota = ControlGroup().CpuQuota())
    cpus = std::min(cpus, static_cast<int>(std::ceil(*quota)));
  return std::max(cpus, 1);
}

}  // namespace varserve
