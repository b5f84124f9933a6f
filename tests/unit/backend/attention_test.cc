// Both backends against the slow reference of tests/unit/backend/cpu/attention_world.h, and the invariants of
// VAR.
#include "server/backend/attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/torch/torch_backend.h"
#include "tests/unit/backend/attention_trial.h"
#include "tests/unit/backend/cpu/changed_rows.h"

namespace varserve::backend {
namespace {

std::vector<AttentionShape> Shapes() {
  return {{4, 4, 16, StorageType::kFloat32},
          {6, 2, 64, StorageType::kBFloat16},
          {9, 3, 24, StorageType::kFloat32},
          {4, 1, 40, StorageType::kFloat16}};
}

// Any numbers of heads, KV heads and head sizes, in 32 and 16 bit.
std::vector<AttentionShape> RandomShapes(std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  std::vector<AttentionShape> shapes;
  for (int i = 0; i < 6; ++i) {
    const int kv_heads = pick(1, 4);
    shapes.push_back({kv_heads * pick(1, 4), kv_heads, 8 * pick(1, 9),
                      i % 2 == 0 ? StorageType::kFloat32 : StorageType::kBFloat16});
  }
  return shapes;
}

// The world with one more setting of all its rows.
template <typename Change>
AttentionWorld With(AttentionWorld world, Change change) {
  for (AttentionRow& row : world.rows) change(row);
  return world;
}
void TurnOff(AttentionRow& row) { row.first_layer = 1, row.last_layer = 0; }
void TurnOn(AttentionRow& row) { row.first_layer = 0, row.last_layer = 9; }

class AttentionBackendTest : public testing::TestWithParam<bool> {
 protected:
  const std::unique_ptr<Attention> backend_ = GetParam() ? MakeCpuAttention() : MakeTorchAttention(at::kCPU);
  std::mt19937 random_{3};
};

TEST_P(AttentionBackendTest, EqualsTheSlowReference) {
  int compared = 0;
  int image_centric = 0;
  for (int trial = 0; trial < 24; ++trial) {
    const AttentionWorld world = RandomWorld(Shapes()[trial % Shapes().size()], random_);
    const Output result = Attend(*backend_, world);
    for (int64_t r = 0; r < static_cast<int64_t>(world.rows.size()); ++r) {
      const AttentionRow& row = world.rows[r];
      const bool measured = kLayer >= row.first_layer && kLayer <= row.last_layer;
      std::vector<double> sums(4);
      std::vector<double> maps(2 * result.maps.size(2));
      double margin = 1e9;
      std::vector<double> out;
      for (int head = 0; head < world.shape.heads; ++head) {
        const auto truth = world.Truth(static_cast<int>(r), head, kLayer);
        margin = std::min(margin, truth.margin);
        out.insert(out.end(), truth.out.begin(), truth.out.end());
        const auto& visual = world.sequences[row.sequence].is_visual;
        for (size_t slot = 0; slot < visual.size(); ++slot) {
          maps[slot] += truth.before[slot];
          maps[result.maps.size(2) + slot] += truth.after[slot];
          if (measured) sums[3] += visual[slot] * truth.after[slot];
        }
        if (!measured) continue;
        sums[0] += truth.image_centric ? 1 : 0;
        sums[1] += truth.omega;
        sums[2] += truth.visual_before;
      }
      if (margin < 1e-4) continue;  // a head so near its threshold may fall either way
      ++compared;
      image_centric += sums[0] > 0 ? 1 : 0;
      EXPECT_TRUE(at::allclose(result.out[r].flatten(), at::tensor(out).to(at::kFloat), 1e-4, 1e-5));
      EXPECT_TRUE(at::allclose(result.sums[r], at::tensor(sums).to(at::kFloat), 1e-4, 1e-5))
          << result.sums[r];
      EXPECT_TRUE(at::allclose(result.maps[r].flatten(), at::tensor(maps).to(at::kFloat), 1e-4, 1e-5));
    }
  }
  EXPECT_GT(compared, 200);
  EXPECT_GT(image_centric, 60);
}

TEST_P(AttentionBackendTest, ZeroPAndRangesWithoutTheLayerChangeNoBit) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    const AttentionWorld world = RandomWorld(shape, random_);
    const AttentionWorld zero = With(With(world, TurnOn), [](AttentionRow& row) { row.p = 0; });
    const AttentionWorld later =
        With(world, [](AttentionRow& row) { row.p = 1, row.first_layer = kLayer + 1, row.last_layer = 9; });
    const at::Tensor expected = Attend(*backend_, With(world, TurnOff)).out;
    EXPECT_TRUE(at::equal(Attend(*backend_, zero).out, expected));
    EXPECT_TRUE(at::equal(Attend(*backend_, later).out, expected));
  }
}

TEST_P(AttentionBackendTest, HeadsThatAreNotImageCentricChangeNoBit) {
  int untouched = 0;
  for (const AttentionShape& shape : RandomShapes(random_)) {
    const AttentionWorld on = With(RandomWorld(shape, random_), TurnOn);
    const at::Tensor expected = Attend(*backend_, With(on, TurnOff)).out;
    const at::Tensor out = Attend(*backend_, on).out;  // [R, H, D]
    for (int r = 0; r < static_cast<int>(on.rows.size()); ++r) {
      for (int head = 0; head < shape.heads; ++head) {
        const auto truth = on.Truth(r, head, kLayer);
        if (truth.image_centric || truth.margin < 1e-4) continue;
        EXPECT_TRUE(at::equal(out[r][head], expected[r][head])) << "row " << r << " head " << head;
        ++untouched;
      }
    }
  }
  EXPECT_GT(untouched, 50);
}

TEST_P(AttentionBackendTest, PromptsWithoutAnImageChangeNoBit) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    AttentionWorld world = With(RandomWorld(shape, random_), TurnOn);
    for (AttentionWorld::Sequence& s : world.sequences) {
      std::fill(s.is_visual.begin(), s.is_visual.end(), 0.0F);
    }
    for (AttentionRow& row : world.rows) row.p = 1, row.rho = 0, row.min_visual_attention = 0;
    const Output on = Attend(*backend_, world);
    EXPECT_TRUE(at::equal(on.out, Attend(*backend_, With(world, TurnOff)).out));
    EXPECT_EQ(on.sums.abs().sum().item<float>(), 0.0F);
  }
}

TEST_P(AttentionBackendTest, AttentionSumsToOneWhateverVarDoes) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    const AttentionWorld world = With(With(RandomWorld(shape, random_), TurnOn),
                                      [](AttentionRow& row) { row.rho = 0, row.min_visual_attention = 0; });
    const at::Tensor sums = Attend(*backend_, world).maps.sum(2) / shape.heads;  // [R, 2]
    EXPECT_TRUE(at::allclose(sums, at::ones_like(sums), 1e-5, 1e-5)) << sums;
  }
}

TEST_P(AttentionBackendTest, SwitchingVarOnForOneRowChangesNoBitOfAnother) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    AttentionWorld world = With(RandomWorld(shape, random_), TurnOff);
    const at::Tensor off = Attend(*backend_, world).out;
    for (size_t r = 0; r < world.rows.size(); r += 2) {
      TurnOn(world.rows[r]);
      world.rows[r].p = 1.0F;
      world.rows[r].rho = 0.0F;
      world.rows[r].min_visual_attention = 0.0F;
    }
    const at::Tensor mixed = Attend(*backend_, world).out;
    for (size_t r = 1; r < world.rows.size(); r += 2) {
      EXPECT_TRUE(at::equal(mixed[static_cast<int64_t>(r)], off[static_cast<int64_t>(r)])) << r;
    }
  }
}

TEST_P(AttentionBackendTest, FiniteWhenEveryVisualTokenOrNoneIsASink) {
  for (const float tau : {0.0F, 1e9F}) {
    for (const AttentionShape& shape : RandomShapes(random_)) {
      const AttentionWorld world = With(With(RandomWorld(shape, random_), TurnOn), [&](AttentionRow& row) {
        row.tau = tau, row.p = 1, row.rho = 0, row.min_visual_attention = 0;
      });
      EXPECT_TRUE(Attend(*backend_, world).out.isfinite().all().item<bool>());
    }
  }
}

TEST_P(AttentionBackendTest, EveryChangeEqualsTheSlowReference) {
  int compared = 0;
  for (int trial = 0; trial < 16; ++trial) {
    const AttentionWorld world =
        cpu::WithChanges(RandomWorld(Shapes()[trial % Shapes().size()], random_), random_);
    const Output result = Attend(*backend_, world);
    for (int r = 0; r < static_cast<int>(world.rows.size()); ++r) {
      if (world.rows[r].change == interventions::RowChange::kRedistribute) continue;
      const cpu::RowTruth truth = cpu::TruthOf(world, r);
      if (truth.margin < 1e-4) continue;
      ++compared;
      EXPECT_TRUE(at::allclose(result.out[r].flatten(), at::tensor(truth.out).to(at::kFloat), 1e-4, 2e-5));
      const at::Tensor sums = at::tensor({truth.sums.changed_heads, truth.sums.redistributed,
                                          truth.sums.visual_before, truth.sums.visual_after});
      EXPECT_TRUE(at::allclose(result.sums[r], sums, 1e-4, 2e-5)) << result.sums[r] << sums;
      std::vector<double> maps = truth.before;
      maps.resize(result.maps.size(2));
      maps.insert(maps.end(), truth.after.begin(), truth.after.end());
      maps.resize(2 * result.maps.size(2));
      EXPECT_TRUE(at::allclose(result.maps[r].flatten(), at::tensor(maps).to(at::kFloat), 1e-4, 2e-5));
    }
  }
  EXPECT_GT(compared, 80);
}

TEST_P(AttentionBackendTest, NeutralChangesChangeNoBit) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    const AttentionWorld world = RandomWorld(shape, random_);
    EXPECT_TRUE(at::equal(Attend(*backend_, cpu::WithNeutralChanges(world, random_)).out,
                          Attend(*backend_, With(world, TurnOff)).out));
  }
}

TEST_P(AttentionBackendTest, ChangingOneRowChangesNoBitOfAnother) {
  for (const AttentionShape& shape : RandomShapes(random_)) {
    const AttentionWorld world = cpu::WithChanges(RandomWorld(shape, random_), random_);
    AttentionWorld half = world;
    for (size_t r = 0; r < half.rows.size(); r += 2) TurnOff(half.rows[r]);
    const at::Tensor all = Attend(*backend_, world).out;
    const at::Tensor some = Attend(*backend_, half).out;
    for (int64_t r = 1; r < all.size(0); r += 2) EXPECT_TRUE(at::equal(all[r], some[r])) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AttentionBackendTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Fused" : "Tensor"; });

}  // namespace
}  // namespace varserve::backend
