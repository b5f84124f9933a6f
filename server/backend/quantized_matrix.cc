#include "server/backend/quantized_matrix.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace varserve::backend {
namespace {

// Shares of the largest weight that the extreme code stands for. Less than 1 cuts off the largest weights and
// makes the steps between the others smaller.
constexpr float kShares[] = {1.0F, 0.96F, 0.92F, 0.88F, 0.84F, 0.8F, 0.76F};

// To the nearest integer, for |x| < 2^22. Compilers turn it into two vector instructions.
inline float Round(float x) {
  constexpr float kMagic = 12582912.0F;  // 1.5 * 2^23
  return (x + kMagic) - kMagic;
}

// Quantizes a group with integers in [-half, half - 1]. integers: room for `count`. => the scale
float QuantizeGroup(const float* weights, int64_t count, int half, float* integers, float* best) {
  float extreme = 0.0F;
  float nothing =
      0.0F;  // but NaN if a weight is not finite, which then shows in the logits as without quantizing
  for (int64_t i = 0; i < count; ++i) {
    if (std::abs(weights[i]) > std::abs(extreme)) extreme = weights[i];
    nothing += weights[i] * 0.0F;
  }
  std::fill_n(best, count, 0.0F);
  if (extreme == 0.0F || nothing != 0.0F) return nothing;
  const auto low = static_cast<float>(-half);
  const auto high = static_cast<float>(half - 1);
  float best_scale = 0.0F;
  float best_gain = -1.0F;
  for (const float share : kShares) {
    // The extreme weight gets the code of the larger magnitude, whatever its sign.
    const float inverse = low / (extreme * share);
    float products = 0.0F;
    float squares = 0.0F;
    for (int64_t i = 0; i < count; ++i) {
      const float integer = std::min(std::max(Round(weights[i] * inverse), low), high);
      integers[i] = integer;
      products += weights[i] * integer;
      squares += integer * integer;
    }
    // Least squares: the best scale for these integers leaves the squared weights less this.
    const float gain = squares > 0.0F ? products * products / squares : 0.0F;
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = squares > 0.0F ? products / squares : 0.0F;
      std::copy_n(integers, count, best);
    }
    if (half > 8) break;  // steps of 8 bits are fine enough
  }
  return best_scale;
}

}  // namespace

at::Tensor QuantizedMatrix::Dequantize() const {
  const at::Tensor grouped = codes.to(at::kFloat).view({outputs(), groups(), group()});
  const at::Tensor zero = zeros.defined() ? zeros.to(at::kFloat).unsqueeze(-1)
                                          : at::full({1}, static_cast<double>(1 << (bits - 1)), at::kFloat);
  return ((grouped - zero) * scales.unsqueeze(-1)).view({outputs(), inputs()});
}

int64_t QuantizationGroup(int64_t inputs, int bits) {
  for (const int64_t group : {128, 64, 32}) {
    if (group == 128 && bits == 4) continue;
    if (inputs % group == 0) return group;
  }
  return 0;
}

QuantizedMatrix Quantize(const at::Tensor& weights, int bits, int64_t group) {
  const int64_t outputs = weights.size(0);
  const int64_t inputs = weights.size(1);
  const int half = 1 << (bits - 1);
  QuantizedMatrix m{.codes = at::empty({outputs, inputs}, at::kByte),
                    .scales = at::empty({outputs, inputs / group}, at::kFloat),
                    .zeros = {},
                    .bits = bits};
  auto* codes = m.codes.mutable_data_ptr<uint8_t>();
  auto* scales = m.scales.mutable_data_ptr<float>();
  at::parallel_for(0, outputs, 16, [&](int64_t begin, int64_t end) {
    const at::Tensor rows = weights.narrow(0, begin, end - begin).to(at::kFloat).contiguous();
    const float* row = rows.const_data_ptr<float>();
    std::vector<float> integers(group);
    std::vector<float> best(group);
    for (int64_t g = begin * m.groups(); g < end * m.groups(); ++g, row += group) {
      scales[g] = QuantizeGroup(row, group, half, integers.data(), best.data());
      for (int64_t i = 0; i < group; ++i)
        codes[g * group + i] = static_cast<uint8_t>(static_cast<int>(best[i]) + half);
    }
  });
  return m;
}

}  // namespace varserve::backend
