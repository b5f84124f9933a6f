#include "server/base/usable_cpus.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"

namespace varserve {
namespace {

using ::testing::ElementsAre;

// A machine's /sys.
class ComputeCpusTest : public ::testing::Test {
 protected:
  void WriteCore(const std::vector<int>& cpus, const std::string& list) {
    for (const int cpu : cpus)
      root_.Write(absl::StrCat("sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"),
                  list + "\n");
  }
  std::set<int> Compute(const std::set<int>& cpus) const { return ComputeCpus(cpus, root_.path()); }

  const testing::TempDir root_;
};

TEST_F(ComputeCpusTest, AllWhereNothingIsKnown) { EXPECT_THAT(Compute({0, 1, 5}), ElementsAre(0, 1, 5)); }

TEST_F(ComputeCpusTest, OneOfEachCore) {
  WriteCore({0, 4}, "0,4");
  WriteCore({1, 5}, "1,5");
  WriteCore({2}, "2");
  WriteCore({6, 7}, "6-7");
  EXPECT_THAT(Compute({0, 1, 2, 4, 5, 6, 7}), ElementsAre(0, 1, 2, 6));
  EXPECT_THAT(Compute({4, 5, 7}), ElementsAre(4, 5, 7)) << "of the CPUs given";
}

TEST_F(ComputeCpusTest, MoreCpusThanAnOrdinarySetHolds) {
  WriteCore({2000, 2001}, "2000-2001");
  EXPECT_THAT(Compute({2000, 2001}), ElementsAre(2000));
}

TEST_F(ComputeCpusTest, PerformanceCoresOfAHybridProcessor) {
  root_.Write("sys/devices/cpu_core/cpus", "0-3\n");
  root_.Write("sys/devices/cpu_atom/cpus", "4-7\n");
  WriteCore({0, 1}, "0-1");
  WriteCore({2, 3}, "2-3");
  for (const int cpu : {4, 5, 6, 7}) WriteCore({cpu}, absl::StrCat(cpu));
  EXPECT_THAT(Compute({0, 1, 2, 3, 4, 5, 6, 7}), ElementsAre(0, 2));
  EXPECT_THAT(Compute({3, 6, 7}), ElementsAre(3));
  EXPECT_THAT(Compute({6, 7}), ElementsAre(6, 7)) << "there are no others";
}

TEST_F(ComputeCpusTest, ListsThatAreNoLists) {
  root_.Write("sys/devices/cpu_core/cpus", "0-999999999999\n");
  WriteCore({0}, "all");
  WriteCore({1}, "0-99999999");
  EXPECT_THAT(Compute({0, 1}), ElementsAre(0, 1));
}

TEST(UsableCpusTest, AtLeastOne) { EXPECT_GE(UsableCpus(), 1); }

}  // namespace
}  // namespace varserve
