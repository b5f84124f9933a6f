// Rows of a random world that are reweighed or whose heads are suppressed, and their slow reference, written
// from attention_row.h alone: loops in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "tests/unit/backend/cpu/attention_world.h"

namespace varserve::backend::cpu {

using interventions::RowChange;

// The world with every row changed in one of the three ways, in layers 0 to 3.
inline AttentionWorld WithChanges(AttentionWorld world, std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (AttentionRow& row : world.rows) {
    row.change = static_cast<RowChange>(pick(0, 2));
    row.first_layer = 0;
    row.last_layer = 3;
    row.text_slots = world.sequences[row.sequence].text_before;
    row.visual_scale = 0.5F * static_cast<float>(pick(0, 4));
    row.visual_boost = 0.5F * static_cast<float>(pick(0, 4));
    row.text_scale = 0.5F * static_cast<float>(pick(0, 4));
    row.kept_heads = pick(0, world.shape.heads);
    row.suppressed_gain = 0.25F * static_cast<float>(pick(0, 4));
  }
  return world;
}

// The same with parameters that change nothing.
inline AttentionWorld WithNeutralChanges(AttentionWorld world, std::mt19937& random) {
  world = WithChanges(std::move(world), random);
  for (size_t r = 0; r < world.rows.size(); ++r) {
    AttentionRow& row = world.rows[r];
    row.p = row.visual_boost = 0.0F;
    row.visual_scale = row.text_scale = 1.0F;
    if (r % 2 == 0) {
      row.suppressed_gain = 1.0F;
    } else {
      row.kept_heads = world.shape.heads;
    }
  }
  return world;
}

// All heads of one row.
struct RowTruth {
  std::vector<double> out;     // [H, D]
  std::vector<double> before;  // attention per slot, summed over heads
  std::vector<double> after;
  RowSums sums;
  double margin = 1e9;  // of the ranking, from turning
};

// Of a row that is changed in the layer, but not redistributed.
inline RowTruth TruthOf(const AttentionWorld& world, int r) {
  const AttentionRow& row = world.rows[r];
  const std::vector<float>& visual = world.sequences[row.sequence].is_visual;
  const int heads = world.shape.heads;
  RowTruth truth;
  truth.before.resize(visual.size());
  truth.after.resize(visual.size());
  std::vector<double> looks(heads);
  for (int head = 0; head < heads; ++head) {
    const std::vector<double> scores = world.Scores(r, head);
    for (const int slot : world.Tokens(r)) looks[head] += visual[slot] * scores[slot];
  }
  std::vector<double> ranked = looks;
  std::sort(ranked.rbegin(), ranked.rend());
  for (int i = 0; i + 1 < heads; ++i) {
    if (i + 1 == row.kept_heads) truth.margin = ranked[i] - ranked[i + 1];
  }
  for (int head = 0; head < heads; ++head) {
    std::vector<double> scores = world.Scores(r, head);
    const std::vector<double> before = world.Softmax(r, scores);
    double gain = 1.0;
    if (row.change == RowChange::kReweigh) {
      for (const int slot : world.Tokens(r)) {
        double& score = scores[slot];
        if (visual[slot] > 0.0F) {
          score = row.visual_scale * score + row.visual_boost * std::abs(score);
        } else if (slot < row.text_slots) {
          score *= row.text_scale;
        }
      }
      truth.sums.changed_heads += 1.0F;
    } else if (row.kept_heads == 0 || looks[head] < ranked[row.kept_heads - 1]) {
      gain = row.suppressed_gain;
      truth.sums.changed_heads += 1.0F;
    }
    const std::vector<double> after = world.Softmax(r, scores);
    for (const double value : world.Weighted(r, head, after)) truth.out.push_back(gain * value);
    for (size_t slot = 0; slot < visual.size(); ++slot) {
      truth.before[slot] += before[slot];
      truth.after[slot] += after[slot];
      truth.sums.visual_before += static_cast<float>(visual[slot] * before[slot]);
      truth.sums.visual_after += static_cast<float>(gain * visual[slot] * after[slot]);
    }
  }
  return truth;
}

}  // namespace varserve::backend::cpu
