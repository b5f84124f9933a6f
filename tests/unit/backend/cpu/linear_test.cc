#include <gmock/gmock.h>

#include "tests/unit/backend/cpu/emulated_amx.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

class LinearTest : public KernelTest {
 protected:
  // An input as the kernel takes it.
  float Taken(float x, StorageType type) const {
    return kernels().rounds_inputs && type == StorageType::kBFloat16 ? FromBFloat16(BFloat16Bits(x)) : x;
  }
};

struct Shape {
  int rows, in, out;
};

// Rows in the order the kernel takes them for the type of the weights.
class Inputs {
 public:
  Inputs(const CpuKernels& kernels, const std::vector<float>& x, int rows, int in, StorageType type)
      : values_(x), stride_(in) {
    if (type != StorageType::kBFloat16) return;
    stride_ = kernels.packed_inputs(in);
    values_ = PackedRows(kernels, x, rows, in);
  }
  const float* data() const { return values_.data(); }
  int stride() const { return stride_; }

 private:
  std::vector<float> values_;
  int stride_;
};

TEST_P(LinearTest, EqualsSumsInDoublePrecision) {
  for (const StorageType type : {StorageType::kFloat32, StorageType::kBFloat16, StorageType::kFloat16}) {
    for (const Shape s : {Shape{1, 64, 5},
                          {3, 588, 37},
                          {5, 1024, 48},
                          {16, 1500, 61},
                          {9, 4100, 53},
                          {17, 1031, 97},
                          {70, 576, 100}}) {
      std::vector<float> x = Random(s.rows * s.in);
      if (kernels().rounds_inputs && type == StorageType::kBFloat16) {
        // Halfway between two of bfloat16's values too: those round to the even one.
        for (size_t i = 0; i < x.size(); i += 7) x[i] = FromBFloat16(BFloat16Bits(x[i])) * (1.0F + 0x1p-8F);
      }
      const Stored w = Store(Random(s.out * s.in), type);
      const std::vector<uint8_t> weights = LaidOut(w, s.out, s.in);
      const std::vector<float> bias = Random(s.out);
      std::vector<float> y = Random(s.rows * s.out);
      for (const bool accumulate : {false, true}) {
        const std::vector<float> before = y;
        const Inputs inputs(kernels(), x, s.rows, s.in, type);
        LinearArgs args{.x = inputs.data(),
                        .w = weights.data(),
                        .bias = bias.data(),
                        .y = y.data(),
                        .x_stride = inputs.stride(),
                        .y_stride = s.out,
                        .rows = s.rows,
                        .in = s.in,
                        .out = s.out,
                        .w_type = type,
                        .accumulate = accumulate};
        kernels().linear(args, 0, s.rows, 0, s.out);
        for (int m = 0; m < s.rows; ++m) {
          for (int n = 0; n < s.out; ++n) {
            double sum = bias[n] + (accumulate ? static_cast<double>(before[m * s.out + n]) : 0.0);
            for (int k = 0; k < s.in; ++k)
              sum += static_cast<double>(Taken(x[m * s.in + k], type)) * w.values[n * s.in + k];
            ASSERT_NEAR(y[m * s.out + n], sum, 2e-6 * s.in)
                << m << "," << n << " of " << s.rows << "x" << s.in << "x" << s.out;
          }
        }
      }
    }
  }
}

TEST_P(LinearTest, RowIsTheSameBitForBitAloneInAnyBatchAndAnyRange) {
  constexpr int kRows = 150;
  constexpr int kIn = 1100;
  constexpr int kOut = 131;
  const std::vector<float> x = Random(kRows * kIn);
  for (const StorageType type : {StorageType::kFloat32, StorageType::kBFloat16, StorageType::kFloat16}) {
    const Stored w = Store(Random(kOut * kIn), type);
    const std::vector<uint8_t> weights = LaidOut(w, kOut, kIn);
    const Inputs inputs(kernels(), x, kRows, kIn, type);
    LinearArgs args{.x = inputs.data(),
                    .w = weights.data(),
                    .x_stride = inputs.stride(),
                    .y_stride = kOut,
                    .rows = kRows,
                    .in = kIn,
                    .out = kOut,
                    .w_type = type};
    std::vector<float> alone(kRows * kOut);
    args.y = alone.data();
    for (int m = 0; m < kRows; ++m) kernels().linear(args, m, m + 1, 0, kOut);
    for (const int batch : {2, 3, 4, 7, 16, 17, 33, 150}) {
      std::vector<float> together(kRows * kOut);
      args.y = together.data();
      for (int m = 0; m < kRows; m += batch) {
        for (int n = 0; n < kOut; n += 50)
          kernels().linear(args, m, std::min(m + batch, kRows), n, std::min(n + 50, kOut));
      }
      EXPECT_EQ(together, alone) << "batch of " << batch;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, LinearTest, testing::ValuesIn(InstructionSets()), KernelName);
INSTANTIATE_TEST_SUITE_P(Emulated, LinearTest,
                         testing::Values(InstructionSet{"amx_bf16", EmulatedAmxBf16Kernels()}), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
