// What each head of a row sees of the picture, by which heads are suppressed once all of them are known
// (head_suppression.h). Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/reweigh_kernel.h"
#include "server/backend/cpu/softmax_rows.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Sum over the visual tokens that the row sees; slots it does not see are masked.
VARSERVE_INLINE float VisualScore(const float* scores, const float* visual, int padded) {
  Vec sum = {};
  for (int j = 0; j < padded; j += kLanes) {
    const Vec s = Load(scores + j);
    const Vec seen = Load(visual + j) > 0.0F ? s : Splat(0.0F);
    sum += s > Splat(kMasked) ? seen : Splat(0.0F);
  }
  return Sum(sum);
}

// Scores to weights for one row's head group. looks: [group]
VARSERVE_INLINE void LookGroup(const AttentionArgs& a, const AttentionSequence& sequence,
                               const AttentionRow& row, int group, int padded, float* scores,
                               HeadLook* looks) {
  for (int g = 0; g < group; ++g) {
    float* head = scores + static_cast<int64_t>(g) * padded;
    MaskUnseen(head, row.num_slots, padded, sequence.empty_begin, sequence.empty_end);
    looks[g].score = VisualScore(head, sequence.visual, padded) * a.scale;
    Softmax(head, a.scale, row.num_slots, padded, sequence.empty_begin, sequence.empty_end);
    looks[g].visual = VisualMass(head, sequence.visual, padded);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
