#include "server/backend/cpu/faster_kernels.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace varserve::backend::cpu {
namespace {

template <int MICROSECONDS>
CpuKernels KernelsTaking() {
  CpuKernels kernels{};
  kernels.linear = [](const LinearArgs&, int, int, int, int) {
    std::this_thread::sleep_for(std::chrono::microseconds(MICROSECONDS));
  };
  return kernels;
}

TEST(FasterKernelsTest, AreTheFirstOnesUnlessTheOthersTakeClearlyLess) {
  const CpuKernels quick = KernelsTaking<100>();
  const CpuKernels slow = KernelsTaking<2000>();
  EXPECT_EQ(&FasterOf(quick, slow), &quick);
  EXPECT_EQ(&FasterOf(slow, quick), &quick);
  EXPECT_EQ(&FasterOf(slow, slow), &slow);
  const CpuKernels as_slow = slow;
  EXPECT_EQ(&FasterOf(slow, as_slow), &slow);
}

TEST(FasterKernelsTest, MeasureWhatIsThere) {
  if (Avx512Bf16Kernels() == nullptr) GTEST_SKIP() << "this processor has no avx512_bf16";
  const CpuKernels& faster = FasterOf(*Avx512Bf16Kernels(), *Avx512Kernels());
  EXPECT_TRUE(&faster == Avx512Bf16Kernels() || &faster == Avx512Kernels());
  const CpuKernels slow = KernelsTaking<2000>();
  EXPECT_EQ(&FasterOf(slow, *Avx512Kernels()), Avx512Kernels());
  EXPECT_EQ(&FasterOf(slow, *Avx512Bf16Kernels()), Avx512Bf16Kernels());
}

}  // namespace
}  // namespace varserve::backend::cpu
