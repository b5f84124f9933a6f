#include "server/backend/cpu/cpu_kernels.h"

#include <atomic>

#include "server/backend/cpu/faster_kernels.h"

namespace varserve::backend::cpu {
namespace {

std::atomic<const CpuKernels*>& InUse() {
  static std::atomic<const CpuKernels*> kernels = Fastest(InstructionSets());
  return kernels;
}

}  // namespace

const CpuKernels& GetCpuKernels() { return *InUse().load(std::memory_order_relaxed); }

void UseCpuKernels(const CpuKernels& kernels) { InUse().store(&kernels, std::memory_order_relaxed); }

std::array<InstructionSet, 5> InstructionSets() {
  return {{{"baseline", BaselineKernels()},
           {"avx2", Avx2Kernels()},
           {"avx512", Avx512Kernels()},
           {"avx512_bf16", Avx512Bf16Kernels()},
           {"amx_bf16", AmxBf16Kernels(), AmxBf16IsRefused()}}};
}

const CpuKernels* Fastest(std::span<const InstructionSet> sets) {
  const CpuKernels* fastest = nullptr;
  for (const InstructionSet& set : sets) {
    if (set.kernels != nullptr) fastest = set.kernels;
  }
  if (fastest == nullptr || fastest != Avx512Bf16Kernels()) return fastest;
  // Processors differ in how fast their instructions for bfloat16 are. Without them the results are the same.
  static const CpuKernels& faster = FasterOf(*Avx512Bf16Kernels(), *Avx512Kernels());
  return &faster;
}

}  // namespace varserve::backend::cpu
