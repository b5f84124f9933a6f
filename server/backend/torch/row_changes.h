// What interventions change in a group of rows. Letters: B sequences, Tq rows of each, S slots, H heads, Hkv
// KV heads, G heads of a KV head, D head size.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/backend/kv_layer.h"
#include "server/backend/torch/row_groups.h"

namespace varserve::backend {

// K or V of the group's sequences, gathered. => [B, Hkv, S, D] float
at::Tensor Gather(const at::Tensor& pool, const RowGroup& group);

// Redistributes attention (docs/var.md, "Redistribution") for all rows and heads of a group. weights: [B,
// Hkv, G, Tq, S], changed in place. => [B, Tq, 4], the sums of RowEvidence
at::Tensor Redistribute(const RowGroup& group, int layer, const KvLayer& kv, at::Tensor& weights);

// The scores of rows that are reweighed in the layer. scores: [B, Hkv, G, Tq, S] => the same
at::Tensor Reweigh(const RowGroup& group, int layer, const at::Tensor& scores);

// Sums of RowEvidence for rows that are reweighed in the layer. before, after: attention [B, Hkv, G, Tq, S]
// => [B, Tq, 4]
at::Tensor ReweighedSums(const RowGroup& group, int layer, const at::Tensor& before, const at::Tensor& after);

// Suppresses heads of rows that are changed like that in the layer. scores, weights: [B, Hkv, G, Tq, S];
// result: [B, Hkv, G, Tq, D], changed in place. => [B, Tq, 4], the sums of RowEvidence
at::Tensor SuppressHeads(const RowGroup& group, int layer, const at::Tensor& scores,
                         const at::Tensor& weights, at::Tensor& result);

}  // namespace varserve::backend
