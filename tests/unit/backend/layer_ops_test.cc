// The CPU's kernels against the tensor operators.
#include "server/backend/layer_ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/torch/torch_backend.h"
#include "tests/unit/backend/layer_results.h"
#include "tests/unit/backend/leading_trial.h"

namespace varserve::backend {
namespace {

class LayerOpsTest : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  LayerOpsTest() { at::manual_seed(1); }
  at::Tensor Weight(at::IntArrayRef shape) const { return (at::randn(shape) * 0.1).to(GetParam()); }
  KvLayer Pool() const {
    return {at::zeros({6, 2, 16, 24}, GetParam()), at::zeros({6, 2, 16, 24}, GetParam()),
            at::zeros({2, 6 * 16})};
  }
  // Operators take activations in the weights' dtype; in float32 they are the reference for every storage
  // type.
  LinearWeights Wide(const at::Tensor& weight, const at::Tensor& bias) const {
    return torch_->Prepare(weight.to(at::kFloat), bias);
  }
  // Inputs as the kernel of this processor takes them.
  at::Tensor Taken(const at::Tensor& x) const {
    const bool rounded = cpu::GetCpuKernels().rounds_inputs && GetParam() == at::kBFloat16;
    return rounded ? x.to(at::kBFloat16).to(at::kFloat) : x;
  }

  const std::unique_ptr<LayerOps> cpu_ = MakeCpuLayerOps();
  const std::unique_ptr<LayerOps> torch_ = MakeTorchLayerOps();
};

TEST_P(LayerOpsTest, Linear) {
  for (const auto& [n, k, o] :
       {std::tuple<int, int, int>{1, 64, 40}, {7, 588, 33}, {300, 576, 200}, {40, 1300, 97}}) {
    const at::Tensor weight = Weight({o, k});
    const at::Tensor bias = at::randn({o});
    const LinearWeights w = cpu_->Prepare(weight, bias);
    const LinearWeights wide = Wide(weight, bias);
    const at::Tensor x = at::randn({n, k});
    const at::Tensor expected = torch_->Linear(Taken(x), wide);
    EXPECT_TRUE(at::allclose(cpu_->Linear(x, w), expected, 1e-4, 1e-4)) << n << "x" << k << "x" << o;
    at::Tensor y = at::ones({n, o});
    cpu_->LinearAdd(x, w, y);
    EXPECT_TRUE(at::allclose(y, expected + 1, 1e-4, 1e-4));
    const at::Tensor strided = at::randn({n, 2 * k}).narrow(1, k, k);
    EXPECT_TRUE(at::allclose(cpu_->Linear(strided, w), torch_->Linear(Taken(strided), wide), 1e-4, 1e-4));
  }
}

TEST_P(LayerOpsTest, LinearOfARowIsTheSameInAnyBatch) {
  const LinearWeights w = cpu_->Prepare(Weight({150, 1100}));
  const at::Tensor x = at::randn({700, 1100});
  const at::Tensor together = cpu_->Linear(x, w);
  for (const int64_t i : {0, 17, 255, 256, 699})
    EXPECT_TRUE(at::equal(cpu_->Linear(x.narrow(0, i, 1), w), together.narrow(0, i, 1)));
}

TEST_P(LayerOpsTest, Embedding) {
  const at::Tensor ids = at::tensor({96, 0, 47, 48, 5}, at::kLong);
  for (const int64_t width : {72, 73}) {
    const at::Tensor table = Weight({97, width});
    EXPECT_TRUE(at::equal(Embedding(*cpu_, ids, cpu_->Prepare(table)),
                          Embedding(*torch_, ids, torch_->Prepare(table)).to(at::kFloat)));
    EXPECT_THROW(Embedding(*cpu_, at::tensor({97}, at::kLong), cpu_->Prepare(table)), c10::Error);
  }
}

TEST_P(LayerOpsTest, RmsNormAndSinks) {
  const at::Tensor x = at::randn({5, 72});
  const at::Tensor weight = at::randn({72});
  const at::Tensor slots = at::tensor({3, 40, 95, 0, 17}, at::kLong);
  KvLayer a = Pool();
  KvLayer b = Pool();
  const at::Tensor y =
      RmsNormAndSinks(*cpu_, x, weight, 1e-5, {at::tensor({5, 9}, at::kInt), 1e-5}, slots, a);
  const at::Tensor z =
      RmsNormAndSinks(*torch_, x, weight, 1e-5, {at::tensor({5, 9}, at::kLong), 1e-5}, slots, b);
  EXPECT_TRUE(at::allclose(y, z, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(a.phi, b.phi, 1e-5, 1e-6));
  EXPECT_EQ(a.phi.ne(0).sum().item<int64_t>(), 10);
  EXPECT_TRUE(at::allclose(RmsNorm(*cpu_, x, weight, 1e-5), z, 1e-5, 1e-6));
}

TEST_P(LayerOpsTest, RopeAndStore) {
  const at::Tensor angle = at::randn({5, 12});
  const Rotary rotary{angle.cos(), angle.sin()};
  const at::Tensor slots = at::tensor({3, 40, 95, 0, 17}, at::kLong);
  for (const HeadNorms& norms : {HeadNorms{}, HeadNorms{at::randn({24}), at::randn({24}), 1e-3}}) {
    at::Tensor qkv_a = at::randn({5, (4 + 2 * 2) * 24});
    at::Tensor qkv_b = qkv_a.clone();
    KvLayer a = Pool();
    KvLayer b = Pool();
    cpu_->RopeAndStore(qkv_a, 4, norms, rotary, slots, a);
    torch_->RopeAndStore(qkv_b, 4, norms, rotary, slots, b);
    EXPECT_TRUE(at::allclose(qkv_a.narrow(1, 0, 4 * 24), qkv_b.narrow(1, 0, 4 * 24), 1e-5, 1e-6));
    const double tolerance = GetParam() == at::kFloat ? 1e-5 : 1e-2;  // one of them may round the other way
    EXPECT_TRUE(at::allclose(a.k.to(at::kFloat), b.k.to(at::kFloat), tolerance, tolerance));
    EXPECT_TRUE(at::equal(a.v, b.v));
  }
}

TEST_P(LayerOpsTest, SiluMul) {
  const at::Tensor x = at::randn({3, 2 * 77}) * 5;
  EXPECT_TRUE(at::allclose(SiluMul(*cpu_, x), SiluMul(*torch_, x), 1e-5, 1e-6));
}

TEST_P(LayerOpsTest, AttendWindows) {
  for (const auto& [windows, tokens, heads, head_dim] :
       {std::tuple<int, int, int, int>{1, 150, 2, 64}, {5, 30, 3, 72}}) {
    const at::Tensor qkv = at::randn({windows, tokens, 3, heads, head_dim});
    const auto attend = [&](const LayerOps& ops) {
      at::Tensor out = at::full(qkv.select(2, 0).sizes(), NAN);
      ops.AttendWindows(qkv.select(2, 0), qkv.select(2, 1), qkv.select(2, 2), GetParam(), out);
      return out;
    };
    // With bfloat16 weights, queries, keys and values may be rounded to it.
    const double tolerance = GetParam() == at::kBFloat16 ? 2e-2 : 1e-5;
    EXPECT_TRUE(at::allclose(attend(*cpu_), attend(*torch_), tolerance, tolerance)) << tokens;
  }
}

TEST(LayerOps, FindLeading) { TryFindLeading(*MakeTorchLayerOps(), at::kCPU); }

INSTANTIATE_TEST_SUITE_P(Dtypes, LayerOpsTest, ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

}  // namespace
}  // namespace varserve::backend
