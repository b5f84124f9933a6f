// The emulation of tiles against their definition, and the processor's tiles, where it has them, against the
// emulation.
#include <gmock/gmock.h>

#include <array>
#include <bit>

#include "tests/unit/backend/cpu/emulated_amx.h"
#include "tests/unit/backend/cpu/emulated_tiles.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

// start + the products of pairs of inputs and weights, as one output of a tile.
float Output(float start, const std::vector<float>& x, const std::vector<float>& w) {
  TileConfig config;
  const auto pairs = static_cast<uint8_t>(x.size() / 2);
  config.rows[0] = config.rows[1] = 1;
  config.rows[2] = pairs;
  config.row_bytes[0] = config.row_bytes[2] = 4;
  config.row_bytes[1] = static_cast<uint16_t>(4 * pairs);
  std::vector<uint16_t> inputs;
  std::vector<uint16_t> weights;
  for (const float value : x) inputs.push_back(BFloat16Bits(value));
  for (const float value : w) weights.push_back(BFloat16Bits(value));
  float y = start;
  EmulatedTiles::Configure(config);
  EmulatedTiles::Load<0>(&y, 4);
  EmulatedTiles::Load<1>(inputs.data(), 4 * pairs);
  EmulatedTiles::Load<2>(weights.data(), 4);
  EmulatedTiles::AddProducts<0, 1, 2>();
  EmulatedTiles::Store<0>(&y, 4);
  EmulatedTiles::Release();
  return y;
}

TEST(EmulatedTilesTest, EvenAndOddInputsAreChainsOfTheirOwnFromZero) {
  // The even ones lose the 1 in 2^24 + 1 and end at 0; the odd ones sum to 6. One chain of all, or one that
  // begins with 5, would lose other parts.
  EXPECT_EQ(Output(5.0F, {0x1p24F, 1, 1, 2, -0x1p24F, 3}, {1, 1, 1, 1, 1, 1}), 11.0F);
  // 2^24 + 2 in the even chain, which 5 and the odd ones' 1 join after their sum: 2^24 + 3 is a tie.
  EXPECT_EQ(Output(5.0F, {0x1p24F, 1, 2, 0}, {1, 1, 1, 1}), 0x1p24F + 8.0F);
}

TEST(EmulatedTilesTest, SubnormalNumbersAreZeros) {
  EXPECT_EQ(Output(0.0F, {0x1p-130F, 0}, {0x1p100F, 0}), 0.0F);  // read
  EXPECT_EQ(Output(0.0F, {0x1p-70F, 0}, {0x1p-60F, 0}), 0.0F);   // a product
  EXPECT_EQ(Output(0x1p-130F, {0, 0}, {0, 0}), 0.0F);            // a start
  EXPECT_EQ(Output(0.0F, {0x1p-60F, 0}, {0x1p-60F, 0}), 0x1p-120F);
  // A fused multiply-add does not round its product.
  EXPECT_EQ(Output(0.0F, {0x1p-63F, 0, 0x1p-70F, 0}, {0x1p-63F, 0, 0x1p-70F, 0}), 0x1p-126F + 0x1p-140F);
}

TEST(EmulatedTilesTest, InfinityAndNanStay) {
  EXPECT_EQ(Output(1.0F, {INFINITY, 0}, {2, 0}), INFINITY);
  EXPECT_TRUE(std::isnan(Output(1.0F, {NAN, 0}, {2, 0})));
  EXPECT_TRUE(std::isnan(Output(1.0F, {INFINITY, 1}, {1, -INFINITY})));
}

TEST(AmxTilesTest, EqualTheirEmulationBitForBit) {
  if (AmxBf16Kernels() == nullptr) GTEST_SKIP() << "this processor has no amx_bf16";
  constexpr int kRows = 70;
  constexpr int kIn = 1100;
  constexpr int kOut = 131;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * kIn);
  std::vector<uint16_t> w(kOut * kIn);
  std::vector<float> bias(kOut);
  for (float& value : x) value = normal(random);
  for (uint16_t& value : w) value = BFloat16Bits(normal(random));
  for (float& value : bias) value = normal(random);
  const PanelShape shape{kOut, kIn};
  std::vector<uint16_t> panels(shape.size());
  PackPanels(shape, RowPointers(w.data(), kOut, kIn), 0, shape.panels(), panels.data());
  std::array<std::vector<float>, 2> y;
  for (int i = 0; i < 2; ++i) {
    const CpuKernels& kernels = i == 0 ? *AmxBf16Kernels() : *EmulatedAmxBf16Kernels();
    std::vector<float> packed(kRows * PackedInputs(kIn));
    for (int m = 0; m < kRows; ++m)
      kernels.pack_inputs(x.data() + m * kIn, kIn, packed.data() + m * PackedInputs(kIn));
    y[i].resize(kRows * kOut);
    const LinearArgs args{.x = packed.data(),
                          .w = panels.data(),
                          .bias = bias.data(),
                          .y = y[i].data(),
                          .x_stride = PackedInputs(kIn),
                          .y_stride = kOut,
                          .rows = kRows,
                          .in = kIn,
                          .out = kOut,
                          .w_type = StorageType::kBFloat16};
    kernels.linear(args, 0, kRows, 0, kOut);
  }
  for (int i = 0; i < kRows * kOut; ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(y[0][i]), std::bit_cast<uint32_t>(y[1][i])) << i;
}

}  // namespace
}  // namespace varserve::backend::cpu
