#include "tests/unit/backend/cpu/emulated_amx.h"

#include <algorithm>
#include <cmath>

#define VARSERVE_ISA emulated_amx_bf16
#include "server/backend/cpu/linear_amx.h"
#include "server/backend/cpu/linear_quantized_amx.h"
#include "server/backend/cpu/quantized_panels.h"
#include "tests/unit/backend/cpu/bfloat16.h"
#include "tests/unit/backend/cpu/emulated_tiles.h"

namespace varserve::backend::cpu {
namespace {

void PackInputs(const float* x, int count, float* packed) {
  auto* out = reinterpret_cast<uint16_t*>(packed);
  for (int k = 0; k < (count + 31) / 32 * 32; ++k) out[k] = k < count ? BFloat16Bits(x[k]) : uint16_t{0};
}

void PackGroups(const float* x, const QuantizedShape& shape, float* packed) {
  PackInputs(x, shape.in, packed);
}

void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  if (a.w_type != StorageType::kBFloat16)
    return BaselineKernels()->linear(a, row_begin, row_end, out_begin, out_end);
  emulated_amx_bf16::LinearTiles<EmulatedTiles>(a, row_begin, row_end, out_begin, out_end);
  if (!EmulatedTiles::Released()) std::abort();  // other libraries use this thread's tiles
}

void WidenGroup(const QuantizedWeights& w, int panel, int group, uint16_t* widened) {
  for (int k = 0; k < w.shape.group; ++k) {
    for (int n = 0; n < kPanelOutputs; ++n) {
      const int integer = QuantizedInteger(w, panel * kPanelOutputs + n, group * w.shape.group + k);
      widened[k / 2 * kPanelStep + 2 * n + k % 2] = BFloat16Bits(static_cast<float>(integer));
    }
  }
}

float AttentionWeights(const float* scores, int count, float scale, int padded, float* packed) {
  auto* weights = reinterpret_cast<uint16_t*>(packed);
  const float largest = *std::max_element(scores, scores + count);
  float sum = 0.0F;
  for (int i = 0; i < padded; ++i) {
    const float weight = i < count ? std::exp((scores[i] - largest) * scale) : 0.0F;
    weights[i] = std::isnan(weight) ? 0x7fff : BFloat16Bits(weight);
    sum += weight;
  }
  return sum;
}

}  // namespace

const CpuKernels* EmulatedAmxBf16Kernels() {
  static const CpuKernels kKernels = [] {
    CpuKernels kernels = *BaselineKernels();
    kernels.name = "emulated_amx_bf16";
    kernels.pack_inputs = PackInputs;
    kernels.pack_groups = PackGroups;
    kernels.rounds_inputs = true;
    kernels.reads_panels = true;
    kernels.linear = Linear;
    kernels.attention_weights = AttentionWeights;
    kernels.linear_quantized = emulated_amx_bf16::LinearQuantizedTiles<EmulatedTiles, WidenGroup>;
    return kernels;
  }();
  return &kKernels;
}

}  // namespace varserve::backend::cpu
