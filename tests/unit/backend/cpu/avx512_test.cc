// The kernels for AVX-512 against those for AVX512_BF16, whose instructions they replace: the same bits.
#include <gmock/gmock.h>

#include <bit>
#include <functional>
#include <limits>

#include "server/backend/cpu/dense_attention.h"
#include "server/backend/cpu/quantized_panels.h"
#include "tests/unit/backend/cpu/attention_world.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

class Avx512Test : public KernelTest {
 protected:
  // What the kernels compute is the same for both sets, bit for bit. compute: => floats
  void ExpectSameBits(const std::function<std::vector<float>(const CpuKernels&)>& compute) {
    const std::vector<float> replaced = compute(*Avx512Kernels());
    const std::vector<float> expected = compute(kernels());
    ASSERT_EQ(replaced.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(std::bit_cast<uint32_t>(replaced[i]), std::bit_cast<uint32_t>(expected[i])) << i;
  }
  std::vector<uint16_t> RandomBFloat16(size_t n) {
    std::vector<uint16_t> values;
    for (const float value : Random(n)) values.push_back(BFloat16Bits(value));
    return values;
  }
  std::vector<uint8_t> RandomBytes(size_t n, int most) {
    std::uniform_int_distribution<int> uniform(0, most);
    std::vector<uint8_t> values(n);
    for (uint8_t& value : values) value = static_cast<uint8_t>(uniform(random_));
    return values;
  }
};

TEST_P(Avx512Test, RoundsInputsAlike) {
  constexpr int kRows = 40;
  constexpr int kIn = 333;
  std::vector<float> x = Random(kRows * kIn);
  // Halfway between two of bfloat16's values.
  for (size_t i = 0; i < x.size(); i += 3) x[i] = FromBFloat16(BFloat16Bits(x[i])) * (1.0F + 0x1p-8F);
  using Limits = std::numeric_limits<float>;
  const float special[] = {0.0F,
                           -0.0F,
                           INFINITY,
                           -INFINITY,
                           Limits::max(),
                           Limits::lowest(),
                           Limits::min(),
                           Limits::quiet_NaN(),
                           std::bit_cast<float>(0x7f800001U),   // NaNs that would be cut or
                           std::bit_cast<float>(0xffffffffU)};  // rounded to other values
  std::copy(std::begin(special), std::end(special), x.begin() + 50);
  ExpectSameBits([&](const CpuKernels& kernels) { return PackedRows(kernels, x, kRows, kIn); });
}

TEST_P(Avx512Test, LinearLayersAreTheSame) {
  for (const auto& [rows, in, out] :
       {std::array{1, 4100, 53}, {3, 2100, 48}, {5, 64, 131}, {8, 590, 100}, {29, 2304, 97}}) {
    const std::vector<float> x = Random(rows * in);
    const std::vector<float> bias = Random(out);
    const std::vector<uint16_t> panels = RandomBFloat16(PanelShape{out, in}.size());
    ExpectSameBits([&, rows = rows, in = in, out = out](const CpuKernels& kernels) {
      const std::vector<float> packed = PackedRows(kernels, x, rows, in);
      std::vector<float> y(rows * out);
      const LinearArgs args{.x = packed.data(),
                            .w = panels.data(),
                            .bias = bias.data(),
                            .y = y.data(),
                            .x_stride = kernels.packed_inputs(in),
                            .y_stride = out,
                            .rows = rows,
                            .in = in,
                            .out = out,
                            .w_type = StorageType::kBFloat16};
      kernels.linear(args, 0, rows, 0, out);
      return y;
    });
  }
}

TEST_P(Avx512Test, QuantizedLinearLayersAreTheSame) {
  for (const bool zeros : {false, true}) {
    for (const QuantizedShape shape : {QuantizedShape{.out = 100, .in = 768, .bits = 4, .group = 128},
                                       {.out = 53, .in = 480, .bits = 4, .group = 32},
                                       {.out = 100, .in = 768, .bits = 8, .group = 64},
                                       {.out = 48, .in = 2304, .bits = 8, .group = 96}}) {
      if (zeros && shape.bits == 8) continue;
      for (const int rows : {1, 4, 7, 33}) {
        const std::vector<float> x = Random(rows * shape.in);
        const auto codes = RandomBytes(shape.bytes(), 255);
        const auto zero_codes = RandomBytes(shape.scales(), 15);
        const std::vector<float> scales = Random(shape.scales(), 0.1F);
        ExpectSameBits([&](const CpuKernels& kernels) {
          const std::vector<float> packed = PackedGroups(kernels, x, rows, shape);
          std::vector<float> y(rows * shape.out);
          const QuantizedLinearArgs args{
              .x = packed.data(),
              .w = {shape, codes.data(), scales.data(), zeros ? zero_codes.data() : nullptr},
              .y = y.data(),
              .x_stride = kernels.packed_inputs(shape.in),
              .y_stride = shape.out};
          kernels.linear_quantized(args, 0, rows, 0, shape.panels());
          return y;
        });
      }
    }
  }
}

TEST_P(Avx512Test, DenseAttentionIsTheSame) {
  constexpr int kRows = 60;
  constexpr int kSlots = 200;
  constexpr int kHeads = 6;
  constexpr int kDim = 72;
  const std::vector<float> q = Random(kRows * kHeads * kDim);
  const std::vector<uint16_t> k = RandomBFloat16(kSlots * kDim);
  const std::vector<uint16_t> v = RandomBFloat16(kSlots * kDim);
  const std::vector<const uint16_t*> keys = RowPointers(k.data(), kSlots, kDim);
  const std::vector<const uint16_t*> values = RowPointers(v.data(), kSlots, kDim);
  ExpectSameBits([&](const CpuKernels& kernels) {
    std::vector<float> out(q.size());
    const DenseAttentionArgs args{.q = q.data(),
                                  .q_stride = kHeads * kDim,
                                  .out = out.data(),
                                  .out_stride = kHeads * kDim,
                                  .keys = keys,
                                  .values = values,
                                  .kv_head_stride = kDim,
                                  .rows = kRows,
                                  .heads = kHeads,
                                  .kv_heads = 1,
                                  .head_dim = kDim,
                                  .causal = true};
    DenseAttention(kernels).Run(args, 0, DenseAttention::NumTiles(args));
    return out;
  });
}

TEST_P(Avx512Test, AttentionOfRowsIsTheSame) {
  for (const int heads : {2, 4, 12}) {
    const AttentionShape shape{.heads = heads, .kv_heads = 2, .head_dim = 40, .type = StorageType::kBFloat16};
    const AttentionWorld world(shape, random_, 3, 12);
    ExpectSameBits([&](const CpuKernels& kernels) { return world.Run(kernels, /*layer=*/1).out; });
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Avx512Test,
                         testing::Values(InstructionSet{"avx512_bf16", Avx512Bf16Kernels()}), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
