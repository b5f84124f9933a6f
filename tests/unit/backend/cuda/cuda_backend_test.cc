// The cuda backend against the torch backend, on the CPU: its kernels run in Triton's interpreter. What only
// a GPU can show, tests/gpu shows.
#include "server/backend/cuda/cuda_backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/backend/torch/torch_backend.h"
#include "tests/unit/backend/attention_trial.h"
#include "tests/unit/backend/cuda/interpreted_kernels.h"

namespace varserve::backend {
namespace {

// In float32, a type that only the interpreter has: the backends then agree up to the order of sums.
constexpr at::ScalarType kType = at::kFloat;

class CudaBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    kernels_ = varserve::testing::InterpretedKernels::Start();
    if (kernels_ == nullptr) GTEST_SKIP() << "VARSERVE_KERNEL_INTERPRETER is not set; ./dev test sets it";
    at::manual_seed(1);
  }
  Backend Make(int64_t head_dim, int64_t group) const {
    return MakeCudaBackend(kernels_, at::kCPU, kType, head_dim, group).value();
  }

  std::shared_ptr<const varserve::testing::InterpretedKernels> kernels_;
  const std::unique_ptr<Attention> torch_attention_ = MakeTorchAttention(at::kCPU);
  const std::unique_ptr<LayerOps> torch_ops_ = MakeTorchLayerOps();
  std::mt19937 random_{3};
};

TEST_F(CudaBackendTest, AttendRows) {
  struct Trial {
    AttentionShape shape;
    int num_sequences;
    int num_rows;
  };
  // Single rows; many rows of each sequence; both.
  for (const Trial& trial : {Trial{{4, 4, 64}, 4, 4}, Trial{{6, 2, 80}, 2, 24}, Trial{{8, 1, 128}, 5, 9},
                             Trial{{3, 3, 96}, 3, 8}}) {
    const auto& [shape, num_sequences, num_rows] = trial;
    const AttentionWorld world = RandomWorld(shape, random_, num_sequences, num_rows);
    const Backend cuda = Make(shape.head_dim, shape.heads / shape.kv_heads);
    const Output expected = Attend(*torch_attention_, world);
    const Output actual = Attend(cuda.attention(), world);
    EXPECT_TRUE(at::allclose(actual.out, expected.out, 1e-4, 1e-5)) << shape.head_dim;
    EXPECT_TRUE(at::allclose(actual.sums, expected.sums, 1e-4, 1e-5)) << actual.sums << expected.sums;
    EXPECT_TRUE(at::allclose(actual.maps, expected.maps, 1e-4, 1e-5)) << shape.head_dim;
    EXPECT_GT(actual.sums.abs().sum().item<float>(), 0);
  }
}

TEST_F(CudaBackendTest, AttendPrefix) {
  constexpr int64_t kBlock = AttentionWorld::kBlockSize;
  const at::Tensor blocks = at::tensor({3, 0, 9, 5, 7, 2}, at::kLong);
  const KvLayer kv{at::randn({10, 2, kBlock, 80}), at::randn({10, 2, kBlock, 80}),
                   at::zeros({2, 10 * kBlock})};
  const Backend cuda = Make(80, 3);
  for (const auto& [start, count] : {std::pair<int64_t, int64_t>{0, 90}, {64, 20}, {80, 1}}) {
    const at::Tensor qkv = at::randn({count, 6 + 2 * 2, 80});
    const at::Tensor q = qkv.narrow(1, 0, 6);  // strided, as the decoder passes it
    const PrefixChunk chunk{.count = count,
                            .start = start,
                            .blocks = blocks.narrow(0, 0, (start + count + kBlock - 1) / kBlock),
                            .mask = PrefixMask(count, start, q.options())};
    at::Tensor expected = at::empty({count, 6, 80});
    at::Tensor actual = at::empty({count, 6, 80});
    torch_attention_->AttendPrefix(chunk, q, kv, expected);
    cuda.attention().AttendPrefix(chunk, q, kv, actual);
    EXPECT_TRUE(at::allclose(actual, expected, 1e-4, 1e-5)) << start;
  }
}

TEST_F(CudaBackendTest, LayerOperations) {
  constexpr int64_t kBlock = AttentionWorld::kBlockSize;
  const auto pool = [] {
    return KvLayer{at::zeros({6, 2, kBlock, 48}), at::zeros({6, 2, kBlock, 48}), at::zeros({2, 6 * kBlock})};
  };
  KvLayer a = pool();
  KvLayer b = pool();
  const Backend cuda = Make(48, 2);
  const at::Tensor slots = at::tensor({3, 40, 95, 0, 17}, at::kLong);
  const at::Tensor x = at::randn({5, 1100});
  const at::Tensor weight = at::randn({1100});
  const at::Tensor normed =
      cuda.ops().RmsNormAndSinks(x, weight, 1e-5, {at::tensor({5, 9}, at::kInt), 1e-5}, slots, a);
  const at::Tensor expected =
      torch_ops_->RmsNormAndSinks(x, weight, 1e-5, {at::tensor({5, 9}, at::kLong), 1e-5}, slots, b);
  EXPECT_TRUE(at::allclose(normed, expected, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(a.phi, b.phi, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(cuda.ops().RmsNorm(x, weight, 1e-5), expected, 1e-5, 1e-6));

  at::Tensor qkv_a = at::randn({5, (4 + 2 * 2) * 48});
  at::Tensor qkv_b = qkv_a.clone();
  const at::Tensor angle = at::randn({5, 24});
  const Rotary rotary{angle.cos(), angle.sin()};
  cuda.ops().RopeAndStore(qkv_a, 4, rotary, slots, a);
  torch_ops_->RopeAndStore(qkv_b, 4, rotary, slots, b);
  EXPECT_TRUE(at::allclose(qkv_a.narrow(1, 0, 4 * 48), qkv_b.narrow(1, 0, 4 * 48), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(a.k, b.k, 1e-5, 1e-6));
  EXPECT_TRUE(at::equal(a.v, b.v));

  const at::Tensor gate_up = at::randn({3, 2 * 1030}) * 5;
  EXPECT_TRUE(at::allclose(cuda.ops().SiluMul(gate_up), torch_ops_->SiluMul(gate_up), 1e-5, 1e-6));
  at::Tensor y = at::ones({5, 7});
  const LinearWeights w = cuda.ops().Prepare(at::randn({7, 1100}));
  cuda.ops().LinearAdd(x, w, y);
  EXPECT_TRUE(at::allclose(y, torch_ops_->Linear(x, w) + 1, 1e-4, 1e-4));
}

TEST(KernelsTest, EveryKernelIsThereForEveryGpu) {
  std::set<std::string> names;
  std::set<std::string> forms;
  for (const KernelForm& form : EmbeddedKernels()) {
    names.insert(form.name);
    forms.insert(absl::StrCat(form.name, " ", form.capability));
    const absl::string_view ptx = form.ptx;
    EXPECT_TRUE(absl::StrContains(ptx, absl::StrCat(".target sm_", form.capability))) << form.name;
    EXPECT_TRUE(absl::StrContains(ptx, absl::StrCat(".entry ", form.entry, "("))) << form.name;
    // The function's parameters are the arguments and Triton's two.
    const std::string parameter = absl::StrCat(" ", form.entry, "_param_");
    size_t parameters = 0;
    const absl::string_view signature = ptx.substr(0, ptx.find(')'));
    for (size_t at = signature.find(parameter); at != absl::string_view::npos;
         at = signature.find(parameter, at + 1))
      ++parameters;
    EXPECT_EQ(parameters, std::strlen(form.arguments) + 2) << form.name;
    EXPECT_LT(form.shared_bytes, 99 << 10) << form.name;
  }
  EXPECT_EQ(names.size(), 26U);
  EXPECT_EQ(forms.size(), 3 * names.size());
}

// Keeps the last launch.
class RecordingKernels final : public Kernels {
 public:
  absl::StatusOr<const KernelForm*> Find(absl::string_view) const override { return &form; }
  const KernelForm form = {.name = "add", .entry = "add", .arguments = "pif"};
  mutable int launches = 0;

 private:
  void Enqueue(const KernelForm&, Grid, absl::Span<const KernelArg>) const override { ++launches; }
};

TEST(KernelsTest, LaunchChecksItsArguments) {
  const RecordingKernels kernels;
  const at::Tensor t = at::zeros({1});
  kernels.Launch(kernels.form, {1, 2, 3}, {t, 4, 0.5F});
  EXPECT_EQ(kernels.launches, 1);
  kernels.Launch(kernels.form, {1, 0, 3}, {t, 4, 0.5F});
  EXPECT_EQ(kernels.launches, 1) << "an empty grid is nothing to do";
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, 4}), c10::Error);
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, 0.5F, 4}), c10::Error);
  EXPECT_THROW(kernels.Launch(kernels.form, {1}, {t, int64_t{1} << 31, 0.5F}), c10::Error);
}

TEST(CudaBackend, RefusesWhatItsKernelsDoNotDo) {
  const auto refusal = [](at::ScalarType type, int64_t head_dim, int64_t group) {
    return std::string(MakeCudaBackend(at::Device(at::kCUDA, 0), type, head_dim, group).status().message());
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
