#include <cmath>

#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

using RowKernelsTest = KernelTest;

TEST_P(RowKernelsTest, RmsNormAndPhi) {
  for (const int width : {8, 77, 576, 4096}) {
    constexpr int kRows = 3;
    std::vector<float> x = Random(kRows * width);
    x[width + 5] = -300.0F;  // a sink in row 1
    const std::vector<float> weight = Random(width);
    std::vector<float> y(kRows * width);
    const std::vector<int32_t> dims = {1, 5};
    const std::vector<int64_t> slots = {4, 0, 7};
    std::vector<float> phi(2 * 10, -1.0F);
    RmsNormArgs args{.x = x.data(),
                     .weight = weight.data(),
                     .y = y.data(),
                     .width = width,
                     .eps = 1e-5F,
                     .sink_dimensions = dims.data(),
                     .num_sink_dimensions = 2,
                     .slots = slots.data(),
                     .phi = phi.data(),
                     .phi_plane_stride = 10,
                     .phi_eps = {1e-5F, 0.5F}};
    kernels().rms_norm(args, 0, kRows);
    std::vector<float> expected_phi(2 * 10, -1.0F);
    for (int r = 0; r < kRows; ++r) {
      double squares = 0.0;
      for (int c = 0; c < width; ++c) squares += static_cast<double>(x[r * width + c]) * x[r * width + c];
      const double mean = squares / width;
      for (int c = 0; c < width; ++c) {
        ASSERT_NEAR(y[r * width + c], x[r * width + c] / std::sqrt(mean + 1e-5) * weight[c], 1e-5);
      }
      const double largest = std::max(std::abs(x[r * width + 1]), std::abs(x[r * width + 5]));
      expected_phi[slots[r]] = static_cast<float>(largest / std::sqrt(mean + 1e-5));
      expected_phi[10 + slots[r]] = static_cast<float>(largest / std::sqrt(mean + 0.5));
    }
    for (size_t i = 0; i < phi.size(); ++i) EXPECT_NEAR(phi[i], expected_phi[i], 1e-5) << i;
  }
}

TEST_P(RowKernelsTest, RopeRotatesHalvesAndStoresKAndV) {
  constexpr int kHeads = 4;
  constexpr int kKvHeads = 2;
  constexpr int kDim = 24;
  constexpr int kBlockSize = 8;
  constexpr int kRows = 3;
  const int width = (kHeads + 2 * kKvHeads) * kDim;
  const std::vector<float> before = Random(kRows * width);
  std::vector<float> qkv = before;
  const std::vector<float> angle = Random(kRows * kDim / 2, 3.0F);
  std::vector<float> cos;
  std::vector<float> sin;
  for (const float a : angle) {
    cos.push_back(std::cos(a));
    sin.push_back(std::sin(a));
  }
  const std::vector<int64_t> slots = {3, 17, 8};
  std::vector<float> k(3 * kKvHeads * kBlockSize * kDim, -9.0F);
  std::vector<float> v = k;
  RopeStoreArgs args{.qkv = qkv.data(),
                     .cos = cos.data(),
                     .sin = sin.data(),
                     .slots = slots.data(),
                     .k_pool = k.data(),
                     .v_pool = v.data(),
                     .kv_type = StorageType::kFloat32,
                     .heads = kHeads,
                     .kv_heads = kKvHeads,
                     .head_dim = kDim,
                     .block_size = kBlockSize};
  kernels().rope_store(args, 0, kRows);
  int untouched = 0;
  for (const float value : k) untouched += value == -9.0F ? 1 : 0;
  EXPECT_EQ(untouched, static_cast<int>(k.size()) - kRows * kKvHeads * kDim);
  for (int r = 0; r < kRows; ++r) {
    for (int h = 0; h < kHeads + 2 * kKvHeads; ++h) {
      for (int i = 0; i < kDim; ++i) {
        const float* head = before.data() + r * width + h * kDim;
        const int half = kDim / 2;
        const int j = i % half;
        const float c = cos[r * half + j];
        const float s = sin[r * half + j];
        const float rotated = i < half ? head[j] * c - head[half + j] * s : head[half + j] * c + head[j] * s;
        if (h < kHeads) {
          EXPECT_NEAR(qkv[r * width + h * kDim + i], rotated, 1e-6);
          continue;
        }
        const bool is_k = h < kHeads + kKvHeads;
        const int kv_head = is_k ? h - kHeads : h - kHeads - kKvHeads;
        const int64_t at =
            ((slots[r] / kBlockSize * kKvHeads + kv_head) * kBlockSize + slots[r] % kBlockSize) * kDim + i;
        EXPECT_NEAR(is_k ? k[at] : v[at], is_k ? rotated : head[i], 1e-6);
      }
    }
  }
}

TEST_P(RowKernelsTest, SiluMul) {
  for (const int width : {8, 13, 1536}) {
    const std::vector<float> x = Random(2 * 2 * width, 20.0F);
    std::vector<float> y(2 * width);
    kernels().silu_mul(SiluMulArgs{.x = x.data(), .y = y.data(), .width = width}, 0, 2);
    for (int r = 0; r < 2; ++r) {
      for (int i = 0; i < width; ++i) {
        const double gate = x[r * 2 * width + i];
        const double expected = gate / (1.0 + std::exp(-gate)) * x[r * 2 * width + width + i];
        EXPECT_NEAR(y[r * width + i], expected, 1e-5 + 1e-6 * std::abs(expected)) << gate;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, RowKernelsTest, testing::ValuesIn(InstructionSets()), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
