// The kernels of isa_amx_bf16.cc on emulated tiles, for any processor. What has no tiles there is the
// baseline here.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu {

const CpuKernels* EmulatedAmxBf16Kernels();

}  // namespace varserve::backend::cpu
