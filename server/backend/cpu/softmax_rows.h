// Softmax of a row of attention, whose scores and weights are explicit. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr float kMasked = -3.0e38F;  // score of a slot that the row does not see

VARSERVE_INLINE void MaskUnseen(float* scores, int num_slots, int padded, int empty_begin, int empty_end) {
  for (int j = num_slots; j < padded; ++j) scores[j] = kMasked;
  for (int j = empty_begin; j < Min(empty_end, padded); ++j) scores[j] = kMasked;
}

// Softmax over the slots that the row sees; all other slots get 0.
VARSERVE_INLINE void Softmax(float* weights, float scale, int num_slots, int padded, int empty_begin,
                             int empty_end) {
  MaskUnseen(weights, num_slots, padded, empty_begin, empty_end);
  Vec largest = Splat(kMasked);
  for (int j = 0; j < padded; j += kLanes) largest = Max(Load(weights + j), largest);
  const float top = MaxLane(largest);
  Vec total = {};
  for (int j = 0; j < padded; j += kLanes) {
    const Vec e = Exp((Load(weights + j) - top) * scale);
    Store(weights + j, e);
    total += e;
  }
  const float inverse = 1.0F / Sum(total);
  for (int j = 0; j < padded; j += kLanes) Store(weights + j, Load(weights + j) * inverse);
}

VARSERVE_INLINE void AddTo(float* sum, const float* values, int count) {
  for (int j = 0; j < count; j += kLanes) Store(sum + j, Load(sum + j) + Load(values + j));
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
