// The cuda backend against the torch backend, in two places: on the CPU, where its kernels run in Triton's
// interpreter, and on a GPU.
#include "server/backend/cuda/cuda_backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "server/backend/torch/torch_backend.h"
#include "tests/testing/interpreted_kernels.h"
#include "tests/testing/test_device.h"
#include "tests/unit/backend/attention_trial.h"
#include "tests/unit/backend/cpu/changed_rows.h"
#include "tests/unit/backend/layer_results.h"
#include "tests/unit/backend/leading_trial.h"

namespace varserve::backend {
namespace {

constexpr int64_t kBlock = AttentionWorld::kBlockSize;

// A device, and the type of weights, activations and pool.
struct Place {
  const char* name;
  at::Device device;
  StorageType storage;
  at::ScalarType type;
  double tolerance;  // of values of that type
};
// In float32, which only the interpreter has, the backends agree up to the order of sums.
const Place kPlaces[] = {{"interpreter", at::kCPU, StorageType::kFloat32, at::kFloat, 1e-5},
                         {"gpu_bfloat16", {at::kCUDA, 0}, StorageType::kBFloat16, at::kBFloat16, 3e-2},
                         {"gpu_float16", {at::kCUDA, 0}, StorageType::kFloat16, at::kHalf, 4e-3}};

class CudaBackendTest : public ::testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    if (place_.device.is_cpu()) {
      kernels_ = varserve::testing::InterpretedKernels::Start();
      if (kernels_ == nullptr) GTEST_SKIP() << varserve::testing::InterpretedKernels::WhyNot();
      return;
    }
    if (varserve::testing::TestDevice() != "cuda") GTEST_SKIP() << "VARSERVE_TEST_DEVICE is not cuda";
  }
  Backend Make(const HeadShape& heads) const {
    return kernels_ == nullptr
               ? MakeCudaBackend(place_.device, place_.type, heads, /*quantized=*/true).value()
               : MakeCudaBackend(kernels_, place_.type, heads, /*quantized=*/true).value();
  }
  // Random values that the type has, float32 on the CPU.
  at::Tensor Values(at::IntArrayRef shape) const { return at::randn(shape).to(place_.type).to(at::kFloat); }
  at::Tensor There(const at::Tensor& values) const { return values.to(place_.device, place_.type); }
  bool Close(const at::Tensor& actual, const at::Tensor& expected, double tolerance) const {
    return at::allclose(actual.to(at::kCPU, at::kFloat), expected, tolerance, tolerance);
  }
  bool Close(const at::Tensor& actual, const at::Tensor& expected) const {
    return Close(actual, expected, place_.tolerance);
  }

  const Place place_ = GetParam();
  std::shared_ptr<const Kernels> kernels_;
  const std::unique_ptr<Attention> torch_attention_ = MakeTorchAttention(at::kCPU);
  const std::unique_ptr<LayerOps> torch_ops_ = MakeTorchLayerOps();
  std::mt19937 random_{3};
};

TEST_P(CudaBackendTest, AttendRows) {
  struct Trial {
    AttentionShape shape;
    int num_sequences;
    int num_rows;
    bool every_change = false;
  };
  // Single rows and many rows of each sequence with VAR; then those and both with every change.
  for (Trial trial : {Trial{{4, 4, 64}, 4, 4}, Trial{{6, 2, 80}, 2, 24}, Trial{{4, 2, 64}, 6, 6, true},
                      Trial{{8, 1, 128}, 5, 9, true}, Trial{{3, 3, 96}, 3, 24, true}}) {
    trial.shape.type = place_.storage;
    AttentionWorld world = RandomWorld(trial.shape, random_, trial.num_sequences, trial.num_rows);
    if (trial.every_change) world = cpu::WithChanges(std::move(world), random_);
    // As what it is on the GPU: the reference's queries are rounded, too.
    world.q = cpu::Store(world.q, place_.storage).values;
    const Backend cuda = Make({trial.shape.heads, trial.shape.kv_heads, trial.shape.head_dim});
    const Output expected = Attend(*torch_attention_, world);
    const Output actual = Attend(cuda.attention(), world, place_.device);
    EXPECT_TRUE(Close(actual.out, expected.out)) << trial.shape.head_dim;
    // Attention itself is float32 whatever the type.
    EXPECT_TRUE(Close(actual.sums, expected.sums, 1e-4)) << actual.sums << expected.sums;
    EXPECT_TRUE(Close(actual.maps, expected.maps, 1e-4)) << trial.shape.head_dim;
    EXPECT_GT(actual.sums.abs().sum().item<float>(), 0);
  }
}

TEST_P(CudaBackendTest, AttendPrefix) {
  const at::Tensor blocks = at::tensor({3, 0, 9, 5, 7, 2}, at::kLong);
  const KvLayer kv{Values({10, 2, kBlock, 80}), Values({10, 2, kBlock, 80}), at::zeros({2, 10 * kBlock})};
  const KvLayer there{There(kv.k), There(kv.v), kv.phi.to(place_.device)};
  const Backend cuda = Make({6, 2, 80});
  for (const auto& [start, count] : {std::pair<int64_t, int64_t>{0, 90}, {64, 20}, {80, 1}}) {
    const at::Tensor qkv = Values({count, 6 + 2 * 2, 80});  // strided, as the decoder passes it
    PrefixChunk chunk{.count = count,
                      .start = start,
                      .blocks = blocks.narrow(0, 0, (start + count + kBlock - 1) / kBlock),
                      .mask = PrefixMask(count, start, qkv.options())};
    at::Tensor expected = at::empty({count, 6, 80});
    torch_attention_->AttendPrefix(chunk, qkv.narrow(1, 0, 6), kv, expected);
    at::Tensor actual = There(at::empty({count, 6, 80}));
    chunk.blocks = chunk.blocks.to(place_.device);
    cuda.attention().AttendPrefix(chunk, There(qkv).narrow(1, 0, 6), there, actual);
    EXPECT_TRUE(Close(actual, expected)) << start;
  }
}

TEST_P(CudaBackendTest, RmsNormAndSinks) {
  const at::Tensor slots = at::tensor({3, 40, 95, 0, 17}, at::kLong);
  const at::Tensor x = Values({5, 1104});
  const at::Tensor weight = at::randn({1104});
  KvLayer kv{.phi = at::zeros({2, 6 * kBlock})};
  KvLayer there{.phi = kv.phi.to(place_.device)};
  const Backend cuda = Make({4, 4, 64});
  const at::Tensor expected =
      RmsNormAndSinks(*torch_ops_, x, weight, 1e-5, {at::tensor({5, 9}, at::kLong), 1e-5}, slots, kv);
  const at::Tensor weight_there = weight.to(place_.device);
  const SinkTarget sinks{at::tensor({5, 9}, at::kInt).to(place_.device), 1e-5};
  EXPECT_TRUE(
      Close(RmsNormAndSinks(cuda.ops(), There(x), weight_there, 1e-5, sinks, slots.to(place_.device), there),
            expected));
  EXPECT_TRUE(Close(there.phi, kv.phi, 1e-5));
  EXPECT_TRUE(Close(RmsNorm(cuda.ops(), There(x), weight_there, 1e-5), expected));
}

TEST_P(CudaBackendTest, RopeAndStore) {
  const at::Tensor slots = at::tensor({3, 40, 95, 0, 17}, at::kLong);
  const HeadNorms plain;
  const HeadNorms norms{at::rand({48}) + 0.5, at::rand({48}) + 0.5, 1e-3};
  const HeadNorms norms_there{norms.q.to(place_.device), norms.k.to(place_.device), norms.eps};
  const at::Tensor angle = at::randn({5, 24});
  const at::Tensor pool = at::zeros({6, 2, kBlock, 48});
  const Backend cuda = Make({4, 2, 48});
  const Rotary rotary_there{angle.cos().to(place_.device), angle.sin().to(place_.device)};
  for (const bool normed : {false, true}) {
    at::Tensor qkv = Values({5, (4 + 2 * 2) * 48});
    at::Tensor qkv_there = There(qkv).clone();
    KvLayer kv{pool.clone(), pool.clone(), {}};
    KvLayer there{There(pool).clone(), There(pool).clone(), {}};
    cuda.ops().RopeAndStore(qkv_there, 4, normed ? norms_there : plain, rotary_there, slots.to(place_.device),
                            there);
    torch_ops_->RopeAndStore(qkv, 4, normed ? norms : plain, {angle.cos(), angle.sin()}, slots, kv);
    EXPECT_TRUE(Close(qkv_there.narrow(1, 0, 4 * 48), qkv.narrow(1, 0, 4 * 48), 2 * place_.tolerance));
    EXPECT_TRUE(Close(there.k, kv.k, 2 * place_.tolerance));
    EXPECT_TRUE(Close(there.v, kv.v, 0));
  }
}

TEST_P(CudaBackendTest, RefusesWidthsThatItsKernelsCannotRead) {
  const Backend cuda = Make({4, 4, 64});
  EXPECT_THROW(RmsNorm(cuda.ops(), There(Values({2, 1100})), at::ones({1100}).to(place_.device), 1e-5),
               c10::Error);
}

TEST_P(CudaBackendTest, SiluMul) {
  const Backend cuda = Make({4, 4, 64});
  for (const int64_t width : {1040, 1030}) {
    const at::Tensor gate_up = Values({3, 2 * width}) * 4;
    EXPECT_TRUE(Close(SiluMul(cuda.ops(), There(gate_up)), SiluMul(*torch_ops_, gate_up))) << width;
  }
}

TEST_P(CudaBackendTest, LinearOfOneRowAndOfMore) {
  const Backend cuda = Make({4, 4, 64});
  const at::Tensor weight = Values({7, 2064});
  for (const at::Tensor& bias : {at::Tensor(), Values({7})}) {
    const LinearWeights there = cuda.ops().Prepare(There(weight), bias.defined() ? There(bias) : bias);
    for (const int64_t rows : {1, 5}) {
      const at::Tensor x = Values({rows, 2064});
      const at::Tensor product = torch_ops_->Linear(x, torch_ops_->Prepare(weight, bias));
      EXPECT_TRUE(Close(cuda.ops().Linear(There(x), there), product, 10 * place_.tolerance)) << rows;
      at::Tensor y = There(at::ones({rows, 7}));
      cuda.ops().LinearAdd(There(x), there, y);
      EXPECT_TRUE(Close(y, product + 1, 10 * place_.tolerance)) << rows;
    }
  }
}

TEST_P(CudaBackendTest, GatedLinear) {
  const Backend cuda = Make({4, 4, 64});
  const at::Tensor weight = Values({12, 2064});
  const LinearWeights there = cuda.ops().Prepare(There(weight), {});
  for (const int64_t rows : {1, 5}) {
    const at::Tensor x = Values({rows, 2064});
    at::Tensor expected = at::empty({rows, 6});
    at::Tensor gate_up = at::empty({rows, 12});
    torch_ops_->GatedLinear(x, torch_ops_->Prepare(weight, {}), gate_up, expected);
    at::Tensor actual = There(at::full({rows, 6}, NAN));
    at::Tensor scratch = There(at::full({rows, 12}, NAN));
    cuda.ops().GatedLinear(There(x), there, scratch, actual);
    EXPECT_TRUE(Close(actual, expected, 10 * place_.tolerance)) << rows;
  }
}

TEST_P(CudaBackendTest, QuantizedWeights) {
  const Backend cuda = Make({4, 4, 64});
  const auto options = at::TensorOptions().device(place_.device).dtype(place_.type);
  const at::Tensor bias = Values({40});
  for (const int bits : {4, 8}) {
    QuantizedMatrix matrix = Quantize(Values({40, 320}), bits, QuantizationGroup(320, bits));
    if (bits == 4) matrix.zeros = at::randint(0, 16, matrix.scales.sizes()).to(at::kByte);  // as AWQ's
    const LinearWeights expected = torch_ops_->Prepare(matrix, bias, at::kFloat);
    const LinearWeights actual = cuda.ops().Prepare(matrix, bias, options);
    EXPECT_EQ(actual.weight.nbytes(), 40 * 320 * bits / 8);
    for (const int64_t tokens : {1, 20}) {
      const at::Tensor x = Values({tokens, 352});  // rows are further apart than they are long
      const at::Tensor product = torch_ops_->Linear(x.narrow(1, 0, 320), expected);
      const at::Tensor there = There(x).narrow(1, 0, 320);
      at::Tensor y = There(at::ones({tokens, 40}));
      cuda.ops().LinearAdd(there, actual, y);
      // Of 320 products of rounded values.
      EXPECT_TRUE(Close(cuda.ops().Linear(there, actual), product, 10 * place_.tolerance)) << bits;
      EXPECT_TRUE(Close(y, product + 1, 10 * place_.tolerance)) << bits;
    }
    const at::Tensor ids = at::tensor({7, 39, 0, 7}, at::kLong);
    at::Tensor rows = There(at::empty({4, 320}));
    cuda.ops().Embedding(ids.to(place_.device), actual, rows);
    EXPECT_TRUE(Close(rows, expected.weight.index_select(0, ids)));
  }
}

TEST_P(CudaBackendTest, QuantizedWeightsThatItsKernelsCannotReadAreDequantized) {
  const Backend cuda = Make({4, 4, 64});
  const QuantizedMatrix matrix = Quantize(Values({8, 96}), 4, 32);
  const LinearWeights actual =
      cuda.ops().Prepare(matrix, {}, at::TensorOptions().device(place_.device).dtype(place_.type));
  EXPECT_EQ(actual.bits, 0);
  EXPECT_TRUE(Close(actual.weight, matrix.Dequantize()));
}

TEST_P(CudaBackendTest, Largest) {
  at::Tensor logits = at::randn({5, 2503});
  logits[1][7] = logits[1][2400] = 9;  // the first of equals
  logits[2].fill_(-std::numeric_limits<float>::infinity());
  logits[3][1030] = std::numeric_limits<float>::quiet_NaN();
  logits[4][2499] = std::numeric_limits<float>::infinity();
  const at::Tensor expected = Largest(*torch_ops_, logits);
  const at::Tensor actual = Largest(Make({4, 4, 64}).ops(), logits.to(place_.device)).cpu();
  EXPECT_TRUE(at::allclose(actual.select(1, 0), expected.select(1, 0), 0, 0, /*equal_nan=*/true)) << actual;
  for (const int row : {0, 1, 2, 4}) EXPECT_EQ(actual[row][1].item<float>(), expected[row][1].item<float>());
}

TEST_P(CudaBackendTest, FindLeading) { TryFindLeading(Make({4, 4, 64}).ops(), place_.device); }

INSTANTIATE_TEST_SUITE_P(Places, CudaBackendTest, ::testing::ValuesIn(kPlaces),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(CudaBackend, RefusesWhatItsKernelsDoNotDo) {
  const auto refusal = [](at::ScalarType type, int64_t head_dim, int64_t group) {
    const HeadShape heads{.heads = group, .kv_heads = 1, .head_dim = head_dim};
    const absl::StatusOr<Backend> backend =
        MakeCudaBackend(at::Device(at::kCUDA, 0), type, heads, /*quantized=*/false);
    return std::string(backend.status().message());
  };
  EXPECT_EQ(refusal(at::kFloat, 64, 1),
            "--backend: cuda does not support float32 (--dtype); --backend torch does");
  EXPECT_EQ(
      refusal(at::kHalf, 256, 1),
      "--backend: cuda does not support heads of 256 values, only multiples of 16 up to 128; --backend torch "
      "does");
  EXPECT_EQ(refusal(at::kHalf, 64, 32),
            "--backend: cuda does not support 32 heads for a KV head, only up to 16; --backend torch does");
}

}  // namespace
}  // namespace varserve::backend
