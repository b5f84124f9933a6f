#include <algorithm>
#include <cstring>

#include "tests/unit/backend/cpu/attention_world.h"
#include "tests/unit/backend/cpu/changed_rows.h"

namespace varserve::backend::cpu {
namespace {

using AttentionTest = KernelTest;
constexpr int kLayer = 2;

std::vector<AttentionShape> Shapes() {
  return {{4, 4, 16, StorageType::kFloat32},
          {6, 2, 64, StorageType::kBFloat16},
          {9, 3, 24, StorageType::kFloat32},
          {5, 1, 40, StorageType::kFloat16},
          {4, 2, 128, StorageType::kBFloat16}};
}

// Bits, not values: NaN and signed zeros count too.
bool SameBits(const float* a, const float* b, size_t n) { return std::memcmp(a, b, n * sizeof(float)) == 0; }

TEST_P(AttentionTest, EqualsTheSlowReference) {
  int image_centric = 0;
  int not_image_centric = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const AttentionWorld world(Shapes()[trial % Shapes().size()], random_, 3, 12);
    const AttentionWorld::Output result = world.Run(kernels(), kLayer);
    const AttentionShape& s = world.shape;
    const int group = s.heads / s.kv_heads;
    for (int r = 0; r < 12; ++r) {
      const AttentionRow& row = world.rows[r];
      const bool measured = kLayer >= row.first_layer && kLayer <= row.last_layer;
      for (int kv = 0; kv < s.kv_heads; ++kv) {
        RowSums expected;
        std::vector<double> before(result.map_slots);
        std::vector<double> after(result.map_slots);
        double margin = 1e9;
        for (int head = kv * group; head < (kv + 1) * group; ++head) {
          const AttentionWorld::HeadTruth truth = world.Truth(r, head, kLayer);
          margin = std::min(margin, truth.margin);
          if (truth.margin > 1e-4) {
            for (int d = 0; d < s.head_dim; ++d) {
              ASSERT_NEAR(result.out[(r * s.heads + head) * s.head_dim + d], truth.out[d], 1e-5);
            }
          }
          expected.changed_heads += truth.image_centric ? 1.0F : 0.0F;
          expected.redistributed += static_cast<float>(truth.omega);
          expected.visual_before += static_cast<float>(truth.visual_before);
          const auto& visual = world.sequences[row.sequence].is_visual;
          for (size_t slot = 0; slot < visual.size(); ++slot) {
            before[slot] += truth.before[slot];
            after[slot] += truth.after[slot];
            expected.visual_after += static_cast<float>(visual[slot] * truth.after[slot]);
          }
        }
        if (margin <= 1e-4) continue;  // a head so near its threshold may fall either way
        if (measured) {
          const RowSums& sums = result.sums[r * s.kv_heads + kv];
          ASSERT_EQ(sums.changed_heads, expected.changed_heads);
          ASSERT_NEAR(sums.redistributed, expected.redistributed, 1e-5);
          ASSERT_NEAR(sums.visual_before, expected.visual_before, 1e-5);
          ASSERT_NEAR(sums.visual_after, expected.visual_after, 1e-5);
          (expected.changed_heads > 0 ? image_centric : not_image_centric) += 1;
        }
        const float* map =
            result.maps.data() + (static_cast<size_t>(r) * s.kv_heads + kv) * 2 * result.map_slots;
        for (int slot = 0; slot < result.map_slots; ++slot) {
          ASSERT_NEAR(map[slot], before[slot], 1e-5);
          ASSERT_NEAR(map[result.map_slots + slot], after[slot], 1e-5);
        }
      }
    }
  }
  EXPECT_GT(image_centric, 50);
  EXPECT_GT(not_image_centric, 50);
}

// Rows with a changed VAR setting; everything else as in `world`.
template <typename Change>
AttentionWorld With(AttentionWorld world, Change change) {
  for (AttentionRow& row : world.rows) change(row);
  return world;
}

// VAR in these layers; in none where the last comes before the first.
AttentionWorld WithLayers(const AttentionWorld& world, int first, int last) {
  return With(world, [first, last](AttentionRow& row) { row.first_layer = first, row.last_layer = last; });
}

TEST_P(AttentionTest, ZeroPIsTheIdentityBitForBit) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world(shape, random_, 3, 12);
    const auto off = WithLayers(world, 1, 0).Run(kernels(), kLayer);
    const auto zero =
        With(WithLayers(world, 0, 9), [](AttentionRow& row) { row.p = 0; }).Run(kernels(), kLayer);
    EXPECT_TRUE(SameBits(off.out.data(), zero.out.data(), off.out.size()));
  }
}

TEST_P(AttentionTest, RowsOutsideTheirLayersAreUntouchedBitForBit) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world(shape, random_, 3, 12);
    const auto off = WithLayers(world, 1, 0).Run(kernels(), kLayer);
    const auto on =
        With(WithLayers(world, kLayer + 1, 9), [](AttentionRow& row) { row.p = 1; }).Run(kernels(), kLayer);
    EXPECT_TRUE(SameBits(off.out.data(), on.out.data(), off.out.size()));
  }
}

TEST_P(AttentionTest, HeadsThatAreNotImageCentricAreUntouchedBitForBit) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world(shape, random_, 3, 12);
    const auto off = WithLayers(world, 1, 0).Run(kernels(), kLayer);
    const AttentionWorld changed = WithLayers(world, 0, 9);
    const auto on = changed.Run(kernels(), kLayer);
    for (int r = 0; r < 12; ++r) {
      for (int head = 0; head < shape.heads; ++head) {
        const auto truth = changed.Truth(r, head, kLayer);
        if (truth.image_centric || truth.margin < 1e-4) continue;
        const size_t at = (static_cast<size_t>(r) * shape.heads + head) * shape.head_dim;
        EXPECT_TRUE(SameBits(&off.out[at], &on.out[at], shape.head_dim)) << "row " << r << " head " << head;
      }
    }
  }
}

TEST_P(AttentionTest, RowDoesNotDependOnItsNeighbours) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world(shape, random_, 3, 12);
    const auto together = world.Run(kernels(), kLayer);
    const size_t size = static_cast<size_t>(shape.heads) * shape.head_dim;
    for (int r = 0; r < 12; ++r) {
      AttentionWorld alone = world;
      alone.rows = {world.rows[r]};
      alone.rows[0].map = 0;
      alone.q.assign(world.q.begin() + r * size, world.q.begin() + (r + 1) * size);
      const auto result = alone.Run(kernels(), kLayer);
      EXPECT_TRUE(SameBits(result.out.data(), &together.out[r * size], size));
      EXPECT_TRUE(std::memcmp(result.sums.data(), &together.sums[r * shape.kv_heads],
                              shape.kv_heads * sizeof(RowSums)) == 0);
    }
  }
}

TEST_P(AttentionTest, AttentionSumsToOneWhateverVarDoes) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world = With(AttentionWorld(shape, random_, 3, 12), [](AttentionRow& row) {
      row.first_layer = 0, row.last_layer = 9, row.p = 0.6F, row.rho = 0, row.min_visual_attention = 0;
    });
    const auto result = world.Run(kernels(), kLayer);
    const float group = static_cast<float>(shape.heads) / static_cast<float>(shape.kv_heads);
    for (size_t i = 0; i < result.maps.size(); i += result.map_slots) {
      double sum = 0.0;
      for (int slot = 0; slot < result.map_slots; ++slot) sum += result.maps[i + slot];
      EXPECT_NEAR(sum, group, 1e-5);
    }
  }
}

TEST_P(AttentionTest, NoNanWhenEveryVisualTokenOrNoneIsASink) {
  for (const float tau : {0.0F, 1e9F}) {
    for (const AttentionShape& shape : Shapes()) {
      const AttentionWorld world = With(AttentionWorld(shape, random_, 3, 12), [tau](AttentionRow& row) {
        row.tau = tau, row.p = 1, row.rho = 0, row.min_visual_attention = 0, row.first_layer = 0,
        row.last_layer = 9;
      });
      const auto result = world.Run(kernels(), kLayer);
      EXPECT_TRUE(
          std::all_of(result.out.begin(), result.out.end(), [](float x) { return std::isfinite(x); }));
    }
  }
}

TEST_P(AttentionTest, EveryChangeEqualsTheSlowReference) {
  int compared = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const AttentionWorld world =
        WithChanges(AttentionWorld(Shapes()[trial % Shapes().size()], random_, 3, 12), random_);
    const AttentionWorld::Output result = world.Run(kernels(), kLayer);
    const AttentionShape& s = world.shape;
    for (int r = 0; r < 12; ++r) {
      if (world.rows[r].change == RowChange::kRedistribute) continue;
      const RowTruth truth = TruthOf(world, r);
      if (truth.margin < 1e-4) continue;
      ++compared;
      for (size_t i = 0; i < truth.out.size(); ++i)
        ASSERT_NEAR(result.out[r * truth.out.size() + i], truth.out[i], 2e-5);
      RowSums sums;
      for (int kv = 0; kv < s.kv_heads; ++kv) {
        const RowSums& part = result.sums[r * s.kv_heads + kv];
        sums.changed_heads += part.changed_heads;
        sums.visual_before += part.visual_before;
        sums.visual_after += part.visual_after;
      }
      ASSERT_EQ(sums.changed_heads, truth.sums.changed_heads);
      ASSERT_NEAR(sums.visual_before, truth.sums.visual_before, 1e-5);
      ASSERT_NEAR(sums.visual_after, truth.sums.visual_after, 1e-5);
      for (int slot = 0; slot < static_cast<int>(truth.before.size()); ++slot) {
        double before = 0.0;
        double after = 0.0;
        for (int kv = 0; kv < s.kv_heads; ++kv) {
          const float* map =
              result.maps.data() + (static_cast<size_t>(r) * s.kv_heads + kv) * 2 * result.map_slots;
          before += map[slot];
          after += map[result.map_slots + slot];
        }
        ASSERT_NEAR(before, truth.before[slot], 1e-5);
        ASSERT_NEAR(after, truth.after[slot], 1e-5);
      }
    }
  }
  EXPECT_GT(compared, 100);
}

TEST_P(AttentionTest, NeutralChangesAreTheIdentityBitForBit) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world(shape, random_, 3, 12);
    const auto off = WithLayers(world, 1, 0).Run(kernels(), kLayer);
    const auto neutral = WithNeutralChanges(world, random_).Run(kernels(), kLayer);
    EXPECT_TRUE(SameBits(off.out.data(), neutral.out.data(), off.out.size()));
  }
}

TEST_P(AttentionTest, ARowThatIsChangedChangesNoBitOfAnother) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionWorld world = WithChanges(AttentionWorld(shape, random_, 3, 12), random_);
    AttentionWorld half = world;
    for (int r = 0; r < 12; r += 2) half.rows[r].first_layer = 9;
    const auto all = world.Run(kernels(), kLayer);
    const auto some = half.Run(kernels(), kLayer);
    const size_t size = static_cast<size_t>(shape.heads) * shape.head_dim;
    for (int r = 1; r < 12; r += 2) EXPECT_TRUE(SameBits(&all.out[r * size], &some.out[r * size], size)) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, AttentionTest, testing::ValuesIn(InstructionSets()), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
