#include "server/backend/row_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace varserve::backend {

int64_t RowBatch::max_slots() const {
  int64_t longest = least_slots;
  for (const Sequence& sequence : sequences)
    longest = std::max(longest, static_cast<int64_t>(sequence.visual.size()));
  return longest;
}

RowEvidence::RowEvidence(const RowBatch& batch, int64_t layers, int64_t groups, StepMemory& memory)
    : sums(memory.Take({layers, batch.num_rows(), groups, interventions::kRowSums}, at::kFloat)),
      maps(memory.Take({batch.num_maps(), groups, 2, batch.max_slots()}, at::kFloat)) {}

void RowEvidence::Clear() {
  sums.zero_();
  maps.zero_();
}

void RowEvidence::Reduce(at::Tensor& sums_out, at::Tensor& maps_out) const {
  at::sum_out(sums_out, sums, 2);
  at::sum_out(maps_out, maps, 1);
}

}  // namespace varserve::backend
