// Linear layers and scores for processors that multiply pairs of bfloat16 (AVX512_BF16), at twice the rate of
// float32. Inputs of bfloat16 weights and queries of bfloat16 keys are rounded to bfloat16, as in every
// framework that serves bfloat16; sums are float32. The softmax is twice as wide. Everything else is as on
// AVX2.
#include "server/backend/cpu/cpu_kernels.h"

#ifdef __AVX512BF16__
#define VARSERVE_ISA avx512_bf16
#include "server/backend/cpu/attention_kernel.h"
#include "server/backend/cpu/attention_weights.h"
#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/linear_quantized_bf16.h"
#include "server/backend/cpu/scores_bf16.h"
#include "server/backend/cpu/softmax_kernel.h"

namespace varserve::backend::cpu {
namespace VARSERVE_ISA {

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  if (a.w_type == StorageType::kBFloat16) return LinearBFloat16(a, row_begin, row_end, out_begin, out_end);
  Avx2Kernels()->linear(a, row_begin, row_end, out_begin, out_end);
}

static void Attention(const AttentionArgs& a, float* scratch, int piece_begin, int piece_end) {
  if (a.kv_type == StorageType::kBFloat16)
    return AttentionTyped<PairScores>(a, scratch, piece_begin, piece_end);
  Avx2Kernels()->attention(a, scratch, piece_begin, piece_end);
}

}  // namespace VARSERVE_ISA

const CpuKernels* Avx512Bf16Kernels() {
  const bool supported = Avx2Kernels() != nullptr && __builtin_cpu_supports("avx512bf16") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq");
  if (!supported) return nullptr;
  static const CpuKernels kKernels = [] {
    CpuKernels kernels = *Avx2Kernels();
    kernels.name = "avx512_bf16";
    kernels.pack_inputs = avx512_bf16::PackInputs;
    kernels.rounds_inputs = true;
    kernels.reads_panels = true;
    kernels.linear = avx512_bf16::Linear;
    kernels.linear_quantized = avx512_bf16::LinearQuantized;
    kernels.attention = avx512_bf16::Attention;
    kernels.attention_weights = avx512_bf16::AttentionWeights;
    kernels.softmax_weights = avx512_bf16::SoftmaxWeights;
    return kernels;
  }();
  return &kKernels;
}

}  // namespace varserve::backend::cpu
#else
namespace varserve::backend::cpu {
const CpuKernels* Avx512Bf16Kernels() { return nullptr; }
}  // namespace varserve::backend::cpu
#endif
