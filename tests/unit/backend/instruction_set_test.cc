#include "server/backend/table/instruction_set.h"

#include <gmock/gmock.h>

#include <array>

namespace varserve::backend {
namespace {

using cpu::CpuKernels;
using cpu::InstructionSet;
using ::testing::AllOf;
using ::testing::HasSubstr;

class InstructionSetTest : public ::testing::Test {
 protected:
  const CpuKernels slow_{.name = "slow"};
  const CpuKernels fast_{.name = "fast"};
  const std::array<InstructionSet, 4> sets_ = {
      {{"slow", &slow_}, {"fast", &fast_}, {"absent", nullptr}, {"refused", nullptr, /*refused=*/true}}};
};

TEST_F(InstructionSetTest, AutoIsTheFastestThatIsThere) { EXPECT_EQ(*KernelsFor("auto", sets_), &fast_); }

TEST_F(InstructionSetTest, ANameForcesItsKernels) { EXPECT_EQ(*KernelsFor("slow", sets_), &slow_); }

TEST_F(InstructionSetTest, WhatIsNotThereIsNamed) {
  EXPECT_THAT(KernelsFor("absent", sets_).status().ToString(),
              HasSubstr("--isa: this processor or its operating system has no absent; there are slow, fast"));
  EXPECT_THAT(KernelsFor("abacus", sets_).status().ToString(),
              HasSubstr("--isa: \"abacus\" is not auto, slow, fast, absent or refused"));
  EXPECT_THAT(
      KernelsFor("refused", sets_).status().ToString(),
      AllOf(HasSubstr("--isa: the operating system does not let this process use the processor's refused"),
            HasSubstr("; there are slow, fast")));
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
