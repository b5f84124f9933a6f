#include "server/backend/cpu/dense_attention.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/backend/cpu/emulated_amx.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

struct Shape {
  int rows, slots, heads, kv_heads, head_dim;
  bool causal;
};

// Queries, and keys and values [S, Hkv, D].
struct World {
  std::vector<float> q;
  Stored keys;
  Stored values;
};

class DenseAttentionTest : public KernelTest {
 protected:
  World Make(const Shape& s) {
    const auto kv = [&] { return Store(Random(s.slots * s.kv_heads * s.head_dim), StorageType::kBFloat16); };
    return {Random(s.rows * s.heads * s.head_dim), kv(), kv()};
  }

  // Rows [begin, end) of the shape, with nothing in later slots than they see. => [end - begin, H, D]
  std::vector<float> Attend(const World& w, const Shape& s, int begin, int end) {
    const int slots = s.slots - (s.causal ? s.rows - end : 0);
    const auto pointers = [&](const Stored& stored) {
      std::vector<const uint16_t*> rows(slots);
      for (int j = 0; j < slots; ++j)
        rows[j] = reinterpret_cast<const uint16_t*>(stored.bytes.data()) + j * s.kv_heads * s.head_dim;
      return rows;
    };
    const std::vector<const uint16_t*> keys = pointers(w.keys);
    const std::vector<const uint16_t*> values = pointers(w.values);
    const int64_t row = int64_t{s.heads} * s.head_dim;
    std::vector<float> out((end - begin) * row, NAN);
    const DenseAttentionArgs args{.q = w.q.data() + begin * row,
                                  .q_stride = row,
                                  .out = out.data(),
                                  .out_stride = row,
                                  .keys = keys,
                                  .values = values,
                                  .kv_head_stride = s.head_dim,
                                  .rows = end - begin,
                                  .heads = s.heads,
                                  .kv_heads = s.kv_heads,
                                  .head_dim = s.head_dim,
                                  .causal = s.causal};
    const int tiles = DenseAttention::NumTiles(args);
    DenseAttention first(kernels());  // as two threads
    first.Run(args, 0, tiles / 3);
    DenseAttention second(kernels());
    second.Run(args, tiles / 3, tiles);
    return out;
  }
};

// One head of a row in double precision, with what is rounded to bfloat16 rounded.
std::vector<double> Reference(const World& w, const Shape& s, int row, int head) {
  const int kv_head = head / (s.heads / s.kv_heads);
  const int seen = s.slots - (s.causal ? s.rows - 1 - row : 0);
  const auto at = [&](int slot) { return (slot * s.kv_heads + kv_head) * s.head_dim; };
  std::vector<double> scores(seen, 0.0);
  for (int j = 0; j < seen; ++j) {
    for (int d = 0; d < s.head_dim; ++d) {
      const double q = FromBFloat16(BFloat16Bits(w.q[(row * s.heads + head) * s.head_dim + d]));
      scores[j] += q * static_cast<double>(w.keys.values[at(j) + d]) / std::sqrt(s.head_dim);
    }
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  std::vector<double> out(s.head_dim, 0.0);
  for (int j = 0; j < seen; ++j) {
    const double weight = std::exp(scores[j] - largest);
    total += weight;
    const double rounded = FromBFloat16(BFloat16Bits(static_cast<float>(weight)));
    for (int d = 0; d < s.head_dim; ++d) out[d] += rounded * static_cast<double>(w.values.values[at(j) + d]);
  }
  for (double& value : out) value /= total;
  return out;
}

TEST_P(DenseAttentionTest, EqualsItsDefinition) {
  for (const Shape s : {Shape{1, 1, 1, 1, 24, true},
                        {75, 75, 4, 4, 24, true},      // one segment of values
                        {40, 200, 6, 2, 64, true},     // a chunk after others
                        {130, 130, 8, 1, 80, true},    // a tile has few rows
                        {3, 300, 140, 2, 128, true},   // and just one
                        {129, 129, 2, 2, 72, false},   // a tower's
                        {64, 64, 3, 3, 16, false}}) {  // a window's
    const World w = Make(s);
    const std::vector<float> out = Attend(w, s, 0, s.rows);
    for (int row = 0; row < s.rows; row += 7) {
      for (int head = 0; head < s.heads; ++head) {
        const std::vector<double> expected = Reference(w, s, row, head);
        // A weight next to a tie may round the other way: a 2^-8th of one of many.
        for (int d = 0; d < s.head_dim; ++d)
          ASSERT_NEAR(out[(row * s.heads + head) * s.head_dim + d], expected[d], 2e-3) << row << "," << head;
      }
    }
  }
}

TEST_P(DenseAttentionTest, ARowIsTheSameInAnyChunk) {
  const Shape s{150, 310, 6, 2, 64, true};
  const World w = Make(s);
  const std::vector<float> together = Attend(w, s, 0, s.rows);
  const int row = s.heads * s.head_dim;
  for (const auto& [begin, end] : {std::pair<int, int>{0, 1}, {1, 70}, {70, 71}, {33, 150}, {149, 150}}) {
    const std::vector<float> part = Attend(w, s, begin, end);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), together.begin() + begin * row)) << begin << ".." << end;
  }
}

TEST_P(DenseAttentionTest, WeightsAreExponentialsAndTheirSum) {
  for (const int count : {1, 15, 16, 33, 129, 646}) {
    std::vector<float> scores = Random(count, 20.0F);
    if (count > 30) {
      scores[7] = -3e4F;  // its weight is below any number
      scores[20] = -INFINITY;
    }
    const int padded = (count + 127) / 128 * 128;
    std::vector<float> packed(padded / 2, NAN);
    const float sum = kernels().attention_weights(scores.data(), count, 0.125F, padded, packed.data());
    const auto* weights = reinterpret_cast<const uint16_t*>(packed.data());
    const float largest = *std::max_element(scores.begin(), scores.end());
    double expected_sum = 0.0;
    for (int i = 0; i < padded; ++i) {
      const double expected = i < count ? std::exp(0.125 * (static_cast<double>(scores[i]) - largest)) : 0.0;
      expected_sum += expected;
      ASSERT_NEAR(FromBFloat16(weights[i]), expected, expected * 0x1.01p-8) << i << " of " << count;
    }
    EXPECT_NEAR(sum, expected_sum, 1e-6 * expected_sum);
  }
}

TEST_P(DenseAttentionTest, NanIsSeen) {
  const Shape s{5, 40, 2, 1, 16, true};
  World w = Make(s);
  w.q[2 * s.heads * s.head_dim] = NAN;  // row 2, head 0
  const std::vector<float> out = Attend(w, s, 0, s.rows);
  for (int row = 0; row < s.rows; ++row) {
    for (int head = 0; head < s.heads; ++head)
      EXPECT_EQ(std::isnan(out[(row * s.heads + head) * s.head_dim]), row == 2 && head == 0)
          << row << "," << head;
  }
}

// The sets whose linear layers read panels.
INSTANTIATE_TEST_SUITE_P(Sets, DenseAttentionTest,
                         testing::Values(InstructionSet{"avx512", Avx512Kernels()},
                                         InstructionSet{"avx512_bf16", Avx512Bf16Kernels()},
                                         InstructionSet{"amx_bf16", AmxBf16Kernels()}),
                         KernelName);
INSTANTIATE_TEST_SUITE_P(Emulated, DenseAttentionTest,
                         testing::Values(InstructionSet{"amx_bf16", EmulatedAmxBf16Kernels()}), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
