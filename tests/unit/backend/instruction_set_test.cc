#include "server/backend/table/instruction_set.h"

#include <gmock/gmock.h>

#include <array>

namespace varserve::backend {
namespace {

using cpu::CpuKernels;
using cpu::InstructionSet;
using ::testing::HasSubstr;

class InstructionSetTest : public ::testing::Test {
 protected:
  const CpuKernels slow_{.name = "slow"};
  const CpuKernels fast_{.name = "fast"};
  const std::array<InstructionSet, 3> sets_ = {{{"slow", &slow_}, {"fast", &fast_}, {"absent", nullptr}}};
};

TEST_F(InstructionSetTest, AutoIsTheFastestThatIsThere) { EXPECT_EQ(*KernelsFor("auto", sets_), &fast_); }

TEST_F(InstructionSetTest, ANameForcesItsKernels) { EXPECT_EQ(*KernelsFor("slow", sets_), &slow_); }

TEST_F(InstructionSetTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(KernelsFor("absent", sets_).status().ToString(),
              HasSubstr("--isa: this processor or its operating system has no absent; it has slow, fast"));
  EXPECT_THAT(KernelsFor("abacus", sets_).status().ToString(),
              HasSubstr("--isa: \"abacus\" is not auto, slow, fast or absent"));
}

TEST_F(InstructionSetTest, EverySetIsCalledAsItsKernels) {
  for (const InstructionSet& set : cpu::InstructionSets()) {
    if (set.kernels == nullptr) continue;
    EXPECT_EQ(std::string(set.kernels->name), set.name);
    EXPECT_EQ(*KernelsFor(set.name, cpu::InstructionSets()), set.kernels);
  }
  EXPECT_EQ(*KernelsFor("auto", cpu::InstructionSets()), &cpu::GetCpuKernels());
}

}  // namespace
}  // namespace varserve::backend
