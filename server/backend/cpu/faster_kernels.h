// Which of two sets of kernels is faster on this processor, where the names of instructions do not tell.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu {

// Measures both for less than a millisecond: a linear layer of bfloat16 weights in panels. The first one if
// they are equal within a tenth.
const CpuKernels& FasterOf(const CpuKernels& first, const CpuKernels& second);

}  // namespace varserve::backend::cpu
