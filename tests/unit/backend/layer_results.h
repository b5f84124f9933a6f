// Results of layer operations as new tensors.
#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <vector>

#include "server/backend/layer_ops.h"
#include "server/backend/leading_tokens.h"

namespace varserve::backend {

inline at::Tensor Embedding(const LayerOps& ops, const at::Tensor& ids, const LinearWeights& table) {
  at::Tensor out = at::empty({ids.size(0), table.inputs}, ops.ActivationDtype(table.weight.scalar_type()));
  ops.Embedding(ids, table, out);
  return out;
}

inline at::Tensor RmsNorm(const LayerOps& ops, const at::Tensor& x, const at::Tensor& weight, double eps) {
  at::Tensor out = at::empty_like(x);
  ops.RmsNorm(x, weight, eps, out);
  return out;
}

inline at::Tensor RmsNormAndSinks(const LayerOps& ops, const at::Tensor& x, const at::Tensor& weight,
                                  double eps, const SinkTarget& sinks, const at::Tensor& slots, KvLayer& kv) {
  at::Tensor out = at::empty_like(x);
  ops.RmsNormAndSinks(x, weight, eps, sinks, slots, kv, out);
  return out;
}

inline at::Tensor SiluMul(const LayerOps& ops, const at::Tensor& gate_up) {
  at::Tensor out = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  ops.SiluMul(gate_up, out);
  return out;
}

inline at::Tensor Largest(const LayerOps& ops, const at::Tensor& logits) {
  at::Tensor out = at::empty({logits.size(0), 2}, logits.options());
  ops.Largest(logits, out);
  return out;
}

// One for each of `rows`. Everything is where the logits are.
inline std::vector<LeadingTokens> FindLeading(const LayerOps& ops, const at::Tensor& logits,
                                              const at::Tensor& rows, const at::Tensor& temperatures) {
  at::Tensor out = at::empty({rows.size(0), kLeadingColumns}, logits.options());
  ops.FindLeading(logits, Largest(ops, logits), rows, temperatures, out);
  const at::Tensor host = out.cpu();
  std::vector<LeadingTokens> leading(rows.size(0));
  std::memcpy(leading.data(), host.const_data_ptr<float>(), host.nbytes());
  return leading;
}

}  // namespace varserve::backend
