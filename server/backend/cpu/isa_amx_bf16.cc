// Linear layers of bfloat16 and quantized weights for processors that multiply tiles of bfloat16 (AMX_BF16),
// at several times the rate of AVX512_BF16. Everything else is as there. Rows alone take tiles too, so that a
// row's bits do not depend on the batch.
#include "server/backend/cpu/cpu_kernels.h"

#if defined(__AVX512BF16__) && defined(__AMX_BF16__) && defined(__linux__)
#define VARSERVE_ISA amx_bf16
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server/backend/cpu/amx_tiles.h"
#include "server/backend/cpu/linear_amx.h"
#include "server/backend/cpu/linear_quantized_amx.h"
#include "server/backend/cpu/widen_bf16.h"

namespace varserve::backend::cpu {
namespace VARSERVE_ISA {

// Whether the processor has what these kernels use.
static bool ProcessorHasIt() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kTilesAndBf16 = (1U << 24) | (1U << 22);  // clang 14 does not accept their names
  return Avx512Bf16Kernels() != nullptr && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
         (edx & kTilesAndBf16) == kTilesAndBf16;
}

// Linux saves the tiles only of processes that asked to use them.
static bool RequestTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  if (a.w_type == StorageType::kBFloat16)
    return LinearTiles<AmxTiles>(a, row_begin, row_end, out_begin, out_end);
  Avx512Bf16Kernels()->linear(a, row_begin, row_end, out_begin, out_end);
}

}  // namespace VARSERVE_ISA

const CpuKernels* AmxBf16Kernels() {
  static const bool supported = amx_bf16::ProcessorHasIt() && amx_bf16::RequestTiles();
  if (!supported) return nullptr;
  static const CpuKernels kKernels = [] {
    CpuKernels kernels = *Avx512Bf16Kernels();
    kernels.name = "amx_bf16";
    kernels.linear = amx_bf16::Linear;
    kernels.linear_quantized = amx_bf16::LinearQuantizedTiles<amx_bf16::AmxTiles, amx_bf16::WidenGroup>;
    return kernels;
  }();
  return &kKernels;
}

bool AmxBf16IsRefused() { return amx_bf16::ProcessorHasIt() && AmxBf16Kernels() == nullptr; }

}  // namespace varserve::backend::cpu
#else
namespace varserve::backend::cpu {
const CpuKernels* AmxBf16Kernels() { return nullptr; }
bool AmxBf16IsRefused() { return false; }
}  // namespace varserve::backend::cpu
#endif
