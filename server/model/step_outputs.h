// A step's results on the device, one after the other, so that one copy brings them to the host.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/backend/step_memory.h"

namespace varserve::model {

// Letters: S sampled tokens, V vocabulary, L layers, N tokens, R rows; of the sampled tokens, W whose logits
// the host needs and T whose leading tokens it needs.
struct StepOutputs {
  struct Sizes {
    int64_t sampled = 0;     // S
    int64_t vocabulary = 0;  // V
    int64_t layers = 0;      // L
    int64_t tokens = 0;      // N
    int64_t phi_planes = 0;  // 0 if the model measures nothing
    int64_t rows = 0;        // R
    int64_t maps = 0;
    int64_t map_slots = 0;
    int64_t leading = 0;       // T
    int64_t whole_logits = 0;  // W
  };
  StepOutputs(const Sizes& sizes, backend::StepMemory& memory);

  // Views of `all`, float32.
  at::Tensor largest;       // [S, 2]: a token's largest logit, and its id; ids below 2^24 are exact
  at::Tensor phi;           // [L, planes, N]
  at::Tensor sums;          // [L, R, 4], the last dimension a interventions::RowSums
  at::Tensor maps;          // [maps, 2, map_slots]
  at::Tensor leading;       // [T, kLeadingColumns]: backend::LeadingTokens
  at::Tensor whole_logits;  // [W, V]
  at::Tensor all;
};

}  // namespace varserve::model
