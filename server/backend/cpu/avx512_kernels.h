// Linear layers and scores with AVX-512. Inputs of bfloat16 weights and queries of bfloat16 keys are rounded
// to bfloat16, as in every framework that serves bfloat16; sums are float32. The softmax is twice as wide.
// Everything else is as on AVX2. Included only by isa_avx512*.cc.
#pragma once

#include "server/backend/cpu/attention_kernel.h"
#include "server/backend/cpu/attention_weights.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/linear_quantized_bf16.h"
#include "server/backend/cpu/scores_bf16.h"
#include "server/backend/cpu/softmax_kernel.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  if (a.w_type == StorageType::kBFloat16) return LinearBFloat16(a, row_begin, row_end, out_begin, out_end);
  Avx2Kernels()->linear(a, row_begin, row_end, out_begin, out_end);
}

static void Attention(const AttentionArgs& a, float* scratch, int piece_begin, int piece_end) {
  if (a.kv_type == StorageType::kBFloat16)
    return AttentionTyped<PairScores>(a, scratch, piece_begin, piece_end);
  Avx2Kernels()->attention(a, scratch, piece_begin, piece_end);
}

static void PackGroups(const float* x, const QuantizedShape& shape, float* packed) {
  PackInputs(x, shape.in, packed);
}

static CpuKernels KernelsNamed(const char* name) {
  CpuKernels kernels = *Avx2Kernels();
  kernels.name = name;
  kernels.pack_inputs = PackInputs;
  kernels.pack_groups = PackGroups;
  kernels.rounds_inputs = true;
  kernels.reads_panels = true;
  kernels.linear = Linear;
  kernels.linear_quantized = LinearQuantized;
  kernels.attention = Attention;
  kernels.attention_weights = AttentionWeights;
  kernels.softmax_weights = SoftmaxWeights;
  return kernels;
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
