#include "server/backend/row_batch.h"

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace varserve::backend {

int64_t RowBatch::max_slots() const {
  size_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.visual.size());
  return static_cast<int64_t>(longest);
}

RowEvidence::RowEvidence(const RowBatch& batch, int64_t layers, int64_t groups, const at::Device& device) {
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  sums = at::zeros({layers, batch.num_rows(), groups, interventions::kRowSums}, options);
  maps = at::zeros({batch.num_maps(), groups, 2, batch.max_slots()}, options);
}

void RowEvidence::Reduce() {
  sums = sums.sum(2);
  maps = maps.sum(1);
}

}  // namespace varserve::backend
