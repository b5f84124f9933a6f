// The operations of a transformer layer other than attention. The model's code is written once, against this
// interface.
//
// Activations are float32 on the CPU and have the serving dtype elsewhere. Weights have the serving dtype,
// norms' weights are float32. Letters: N tokens, C width, K inputs, O outputs, H heads, Hkv KV heads, D head
// size, I gated width.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/backend/kv_layer.h"

namespace varserve::backend {

// Made by LayerOps::Prepare, for use with the same LayerOps only.
struct LinearWeights {
  at::Tensor weight;    // [O, K] in the order these operations read it
  at::Tensor bias;      // [O] float32, or undefined
  int64_t outputs = 0;  // O
  int64_t inputs = 0;   // K
};

// Where RmsNormAndSinks writes the sink measure of its input (server/backend/torch/sink_measure.h).
struct SinkTarget {
  at::Tensor dimensions;  // [n] int32 on the CPU, int64 elsewhere; undefined or empty: no measurement
  double eps = 0.0;       // the model's
};

struct Rotary {
  at::Tensor cos;  // [N, D / 2] float32
  at::Tensor sin;  // [N, D / 2]
};

// Thread-compatible; const after construction. Nothing synchronizes with the host.
class LayerOps {
 public:
  virtual ~LayerOps() = default;

  // dtype of activations for a model served in `serving`.
  virtual at::ScalarType ActivationDtype(at::ScalarType serving) const = 0;
  // dtype of SinkTarget::dimensions.
  virtual at::ScalarType SinkIndexDtype() const = 0;

  // weight: [O, K]; both are undefined if loading failed.
  virtual LinearWeights Prepare(at::Tensor weight, at::Tensor bias = {}) const = 0;
  // Rows of the weights. ids: [N] int64 => [N, K] in the activation dtype
  virtual at::Tensor Embedding(const at::Tensor& ids, const LinearWeights& table) const = 0;
  // x W^T + bias. [N, K] => [N, O]
  virtual at::Tensor Linear(const at::Tensor& x, const LinearWeights& w) const = 0;
  // y += x W^T + bias.
  virtual void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const = 0;
  // x / sqrt(mean(x^2) + eps) * weight. [N, C] => [N, C]
  virtual at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) const = 0;
  // The same; also writes phi of each row to kv.phi at its slot. slots: [N] int64
  virtual at::Tensor RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps,
                                     const SinkTarget& sinks, const at::Tensor& slots, KvLayer& kv) const = 0;
  // Rotates q and k of packed rows [q | k | v] by position; leaves q in place and writes k and v to their
  // slots.
  // qkv: [N, (H + 2 Hkv) D]
  virtual void RopeAndStore(at::Tensor& qkv, int64_t heads, const Rotary& rotary, const at::Tensor& slots,
                            KvLayer& kv) const = 0;
  // silu(gate) * up of rows [gate | up]. [N, 2 I] => [N, I]
  virtual at::Tensor SiluMul(const at::Tensor& gate_up) const = 0;
};

}  // namespace varserve::backend
