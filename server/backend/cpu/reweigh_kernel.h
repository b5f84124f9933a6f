// Changes one row's scores before softmax: interventions that amplify or weaken attention to kinds of tokens
// (docs/interventions.md, "Attention"). Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/softmax_rows.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Scores are not multiplied by 1 / sqrt(D) yet, which changes nothing: it is positive.
VARSERVE_INLINE void Reweigh(const AttentionRow& row, const float* visual, int padded, float* scores) {
  for (int j = 0; j < Min(row.text_slots, padded); ++j) scores[j] *= row.text_scale;
  for (int j = 0; j < padded; j += kLanes) {
    const Vec s = Load(scores + j);
    const Vec magnitude = s < 0.0F ? -s : s;
    const Vec changed = s * row.visual_scale + magnitude * row.visual_boost;
    Store(scores + j, Load(visual + j) > 0.0F ? changed : s);
  }
}

// Attention on visual tokens.
VARSERVE_INLINE float VisualMass(const float* weights, const float* visual, int padded) {
  Vec mass = {};
  for (int j = 0; j < padded; j += kLanes) mass += Load(weights + j) * Load(visual + j);
  return Sum(mass);
}

// Scores to weights for one row's head group, and the row's sums. map: [2, map_slots], or null. unchanged:
// [padded], scratch memory.
VARSERVE_INLINE void ReweighGroup(const AttentionArgs& a, const AttentionSequence& sequence,
                                  const AttentionRow& row, int group, int padded, float* scores,
                                  float* unchanged, float* map, RowSums* sums) {
  *sums = RowSums{};
  for (int g = 0; g < group; ++g) {
    float* head = scores + static_cast<int64_t>(g) * padded;
    for (int j = 0; j < padded; j += kLanes) Store(unchanged + j, Load(head + j));
    Softmax(unchanged, a.scale, row.num_slots, padded, sequence.empty_begin, sequence.empty_end);
    Reweigh(row, sequence.visual, padded, head);
    Softmax(head, a.scale, row.num_slots, padded, sequence.empty_begin, sequence.empty_end);
    if (map != nullptr) {
      AddTo(map, unchanged, padded);
      AddTo(map + a.map_slots, head, padded);
    }
    sums->changed_heads += 1.0F;
    sums->visual_before += VisualMass(unchanged, sequence.visual, padded);
    sums->visual_after += VisualMass(head, sequence.visual, padded);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
