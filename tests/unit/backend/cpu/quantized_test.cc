// Quantized linear layers against sums in double precision.
#include <gmock/gmock.h>

#include "server/backend/cpu/quantized_panels.h"
#include "tests/unit/backend/cpu/emulated_amx.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

struct Trial {
  int rows, in, out, bits, group;
  bool zeros;
};
const Trial kTrials[] = {
    {1, 64, 48, 4, 64, false},   {3, 256, 37, 4, 32, true},   {9, 384, 131, 4, 128, true},
    {70, 192, 96, 4, 64, false}, {1, 128, 50, 8, 128, false}, {33, 576, 100, 8, 64, false},
    {17, 96, 7, 8, 32, false},   {2, 96, 49, 4, 32, true},    {15, 2304, 50, 8, 96, false}};

class QuantizedTest : public KernelTest {
 protected:
  // A random matrix of weights as it is stored, and its parts row by row.
  struct Matrix {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
    std::vector<uint8_t> zeros;
    std::vector<uint8_t> packed, packed_zeros;
    std::vector<float> packed_scales;
    QuantizedWeights weights;
    double Value(int n, int k) const {
      const QuantizedShape& s = weights.shape;
      const int at = n * s.groups() + k / s.group;
      const int zero = s.bits == 8 ? kZero8 : zeros.empty() ? kZero4 : zeros[at];
      return static_cast<double>(scales[at]) * (codes[n * s.in + k] - zero);
    }
  };
  Matrix Make(const Trial& t) { return Make(t, 0, (1 << t.bits) - 1); }
  // codes: from `least` to `most`
  Matrix Make(const Trial& t, int least, int most) {
    Matrix m;
    const QuantizedShape shape{.out = t.out, .in = t.in, .bits = t.bits, .group = t.group};
    std::uniform_int_distribution<int> code(least, most);
    std::uniform_int_distribution<int> zero(0, 15);
    for (int i = 0; i < t.out * t.in; ++i) m.codes.push_back(static_cast<uint8_t>(code(random_)));
    m.scales = Random(t.out * shape.groups(), 0.1F);
    if (t.zeros) {
      for (size_t i = 0; i < m.scales.size(); ++i) m.zeros.push_back(static_cast<uint8_t>(zero(random_)));
    }
    m.packed.resize(shape.bytes());
    m.packed_scales.resize(shape.scales());
    m.packed_zeros.resize(t.zeros ? shape.scales() : 0);
    PackQuantizedPanels(shape, m.codes.data(), m.scales.data(), t.zeros ? m.zeros.data() : nullptr, 0,
                        shape.panels(), m.packed.data(), m.packed_scales.data(), m.packed_zeros.data());
    m.weights = {shape, m.packed.data(), m.packed_scales.data(), t.zeros ? m.packed_zeros.data() : nullptr};
    return m;
  }
  // Inputs as the kernels take them: rounded to bfloat16, or in each group to multiples of the power of two
  // with which all are below 2^15.
  std::vector<double> Taken(const std::vector<float>& x, int group) const {
    std::vector<double> taken(x.size());
    for (size_t first = 0; first < x.size(); first += group) {
      double largest = 0x1p-112;
      for (int k = 0; k < group; ++k) largest = std::max(largest, std::abs(double{x[first + k]}));
      const double power = std::exp2(std::floor(std::log2(largest)) - 14);
      for (size_t k = first; k < first + group; ++k) {
        taken[k] = kernels().rounds_inputs ? FromBFloat16(BFloat16Bits(x[k]))
                                           : std::min(std::nearbyint(x[k] / power), 32767.0) * power;
      }
    }
    return taken;
  }
  // The layer's outputs without a bias. x: [t.rows, t.in] => [t.rows, t.out]
  std::vector<float> Outputs(const Trial& t, const Matrix& m, const std::vector<float>& x) const {
    const std::vector<float> packed = PackedGroups(kernels(), x, t.rows, m.weights.shape);
    std::vector<float> y(t.rows * t.out);
    kernels().linear_quantized({.x = packed.data(),
                                .w = m.weights,
                                .y = y.data(),
                                .x_stride = kernels().packed_inputs(t.in),
                                .y_stride = t.out},
                               0, t.rows, 0, m.weights.shape.panels());
    return y;
  }
  // y is `start` plus the products of row r of `taken` with the weights of output n, within 1e-6 of their
  // sizes and `scale`.
  static void ExpectSum(float y, const Trial& t, const Matrix& m, const std::vector<double>& taken, int r,
                        int n, double start, double scale) {
    double sum = start;
    double magnitude = scale;
    for (int k = 0; k < t.in; ++k) {
      const double product = taken[r * t.in + k] * m.Value(n, k);
      sum += product;
      magnitude += std::abs(product);
    }
    ASSERT_NEAR(y, sum, 1e-6 * magnitude)
        << r << "," << n << " of " << t.in << "x" << t.out << ", " << t.bits << " bits";
  }
};

TEST_P(QuantizedTest, RowsAreReadAsTheyWereStored) {
  for (const Trial& t : kTrials) {
    const Matrix m = Make(t);
    std::vector<float> row(t.in);
    for (int n = 0; n < t.out; ++n) {
      ReadQuantizedRow(m.weights, n, row.data());
      for (int k = 0; k < t.in; ++k) ASSERT_EQ(row[k], static_cast<float>(m.Value(n, k))) << n << "," << k;
    }
  }
}

TEST_P(QuantizedTest, EqualsSumsInDoublePrecision) {
  for (const Trial& t : kTrials) {
    const Matrix m = Make(t);
    std::vector<float> x = Random(t.rows * t.in);
    for (size_t k = 0; k < x.size(); k += 5) x[k] *= 0x1p-9F;  // of which rounding leaves less
    x[0] = 3.99999F;                                           // which is rounded to less than 4
    std::fill_n(x.end() - t.group, t.group, 0.0F);
    const std::vector<double> taken = Taken(x, t.group);
    const std::vector<float> packed = PackedGroups(kernels(), x, t.rows, m.weights.shape);
    const std::vector<float> bias = Random(t.out);
    std::vector<float> y = Random(t.rows * t.out);
    for (const bool accumulate : {false, true}) {
      const std::vector<float> before = y;
      const QuantizedLinearArgs args{.x = packed.data(),
                                     .w = m.weights,
                                     .bias = bias.data(),
                                     .y = y.data(),
                                     .x_stride = kernels().packed_inputs(t.in),
                                     .y_stride = t.out,
                                     .accumulate = accumulate};
      kernels().linear_quantized(args, 0, t.rows, 0, m.weights.shape.panels());
      for (int r = 0; r < t.rows; ++r) {
        for (int n = 0; n < t.out; ++n) {
          const double start = bias[n] + (accumulate ? static_cast<double>(before[r * t.out + n]) : 0.0);
          ASSERT_NO_FATAL_FAILURE(ExpectSum(y[r * t.out + n], t, m, taken, r, n, start, 1.0));
        }
      }
    }
  }
}

TEST_P(QuantizedTest, InputsMayBeOfAnySize) {
  for (const float size : {0.0F, 0x1p-149F, 0x1p-120F, 0x1p-90F, 0x1p90F, 0x1p115F}) {
    const Trial t{1, 64, 48, size < 1.0F ? 4 : 8, 32, size < 1.0F};
    const Matrix m = Make(t);
    const std::vector<float> x = Random(t.in, size);
    const std::vector<float> y = Outputs(t, m, x);
    for (int n = 0; n < t.out; ++n) {
      double sum = 0.0;
      for (int k = 0; k < t.in; ++k) sum += x[k] * m.Value(n, k);
      // Rounded to bfloat16 at the most; numbers below 2^-126 may be taken as 0.
      ASSERT_NEAR(y[n], sum, (t.bits == 4 ? 0.2 : 2.0) * std::max(size, 0x1p-120F)) << n << " of " << size;
    }
  }
}

TEST_P(QuantizedTest, LargestSumsAreRight) {
  for (const Trial& t : {Trial{1, 256, 48, 8, 128, false}, Trial{9, 256, 48, 8, 128, false},
                         Trial{1, 256, 48, 4, 128, false}, Trial{9, 256, 48, 4, 128, true}}) {
    for (const int code : {0, t.bits == 8 ? 255 : 15}) {
      const Matrix m = Make(t, code, code);
      for (const float value : {-3.99999F, 3.99999F}) {
        const std::vector<float> x(t.rows * t.in, value);
        const std::vector<double> taken = Taken(x, t.group);
        const std::vector<float> y = Outputs(t, m, x);
        for (int i = 0; i < t.rows * t.out; ++i) {
          ASSERT_NO_FATAL_FAILURE(ExpectSum(y[i], t, m, taken, i / t.out, i % t.out, 0.0, 0.0));
        }
      }
    }
  }
}

TEST_P(QuantizedTest, InputsThatAreNotFiniteMakeOutputsThatAreNot) {
  for (const Trial& t :
       {Trial{2, 64, 50, 4, 32, true}, Trial{2, 64, 50, 4, 32, false}, Trial{9, 64, 50, 8, 32, false}}) {
    const Matrix m = Make(t);
    for (const float value : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> x = Random(t.rows * t.in);
      x[40] = x[47] = value;
      const std::vector<float> y = Outputs(t, m, x);
      for (int n = 0; n < t.out; ++n) ASSERT_FALSE(std::isfinite(y[n])) << n;
      for (size_t i = t.out; i < y.size(); ++i) ASSERT_TRUE(std::isfinite(y[i])) << i;
    }
  }
}

TEST_P(QuantizedTest, RowIsTheSameBitForBitAloneInAnyBatchAndAnyRange) {
  for (const Trial& trial :
       {Trial{70, 256, 200, 4, 64, true}, Trial{70, 256, 200, 4, 128, false}, Trial{70, 96, 7, 4, 32, false},
        Trial{70, 256, 200, 8, 128, false}, Trial{70, 96, 7, 8, 32, false}}) {
    const Matrix m = Make(trial);
    const std::vector<float> packed =
        PackedGroups(kernels(), Random(trial.rows * trial.in), trial.rows, m.weights.shape);
    QuantizedLinearArgs args{.x = packed.data(),
                             .w = m.weights,
                             .x_stride = kernels().packed_inputs(trial.in),
                             .y_stride = trial.out};
    std::vector<float> alone(trial.rows * trial.out);
    args.y = alone.data();
    const int panels = m.weights.shape.panels();
    for (int r = 0; r < trial.rows; ++r) kernels().linear_quantized(args, r, r + 1, 0, panels);
    for (const int batch : {2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 33, 70}) {
      std::vector<float> together(alone.size());
      args.y = together.data();
      for (int r = 0; r < trial.rows; r += batch) {
        for (int p = 0; p < panels; ++p)
          kernels().linear_quantized(args, r, std::min(r + batch, trial.rows), p, p + 1);
      }
      EXPECT_EQ(together, alone) << "batch of " << batch;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, QuantizedTest, testing::ValuesIn(InstructionSets()), KernelName);
INSTANTIATE_TEST_SUITE_P(Emulated, QuantizedTest,
                         testing::Values(InstructionSet{"amx_bf16", EmulatedAmxBf16Kernels()}), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
