// The operations of a transformer layer other than the decoder's attention. The model's code is written once,
// against this interface.
//
// Activations are float32 on the CPU and have the serving dtype elsewhere. Weights have the serving dtype,
// norms' weights are float32. Letters: N tokens, C width, K inputs, O outputs, H heads, Hkv KV heads, D head
// size, I gated width, W windows of T tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/backend/kv_layer.h"
#include "server/backend/quantized_matrix.h"

namespace varserve::backend {

// Made by LayerOps::Prepare, for use with the same LayerOps only.
struct LinearWeights {
  at::Tensor weight;    // [O, K] in the order these operations read it
  at::Tensor bias;      // [O] float32 on the CPU, of weights' dtype elsewhere, or undefined
  at::Tensor scales;    // of quantized weights, else undefined
  at::Tensor zeros;     // of quantized weights, where the backend stores them
  int bits = 0;         // of quantized weights, else 0
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

// RMS norms of each head's q and k (Qwen3).
struct HeadNorms {
  at::Tensor q;  // [D] float32; undefined: no norms
  at::Tensor k;  // [D]
  double eps = 0.0;
};

// Thread-compatible; const after construction. Nothing synchronizes with the host. Results are written to
// `out`, contiguous and in the activation dtype.
class LayerOps {
 public:
  virtual ~LayerOps() = default;

  // dtype of activations for a model served in `serving`.
  virtual at::ScalarType ActivationDtype(at::ScalarType serving) const = 0;
  // dtype of SinkTarget::dimensions.
  virtual at::ScalarType SinkIndexDtype() const = 0;

  // weight: [O, K]; both are undefined if loading failed.
  virtual LinearWeights Prepare(at::Tensor weight, at::Tensor bias = {}) const = 0;
  // Whether weights of this dtype are copied into an order of their own. If so, they need not be copied
  // before.
  virtual bool Packs(at::ScalarType /*dtype*/) const { return false; }
  // Prepare() for matrices below each other, none of which is kept. parts: at least one, [O_i, K],
  // contiguous, of a dtype that is packed.
  virtual LinearWeights Pack(at::TensorList parts, at::Tensor bias) const;
  // Quantized weights, on the host. Where there are no operations for them, they become weights of these
  // options' dtype and device.
  virtual LinearWeights Prepare(const QuantizedMatrix& weights, at::Tensor bias,
                                const at::TensorOptions& options) const;
  // Rows of the weights. ids: [N] int64, out: [N, K]
  virtual void Embedding(const at::Tensor& ids, const LinearWeights& table, at::Tensor& out) const = 0;
  // x W^T + bias. x: [N, K], out: [N, O]
  virtual void Linear(const at::Tensor& x, const LinearWeights& w, at::Tensor& out) const = 0;
  // y += x W^T + bias.
  virtual void LinearAdd(const at::Tensor& x, const LinearWeights& w, at::Tensor& y) const = 0;
  // x / sqrt(mean(x^2) + eps) * weight. x, out: [N, C]
  virtual void RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) const = 0;
  // The same; also writes phi of each row to kv.phi at its slot. slots: [N] int64
  virtual void RmsNormAndSinks(const at::Tensor& x, const at::Tensor& weight, double eps,
                               const SinkTarget& sinks, const at::Tensor& slots, KvLayer& kv,
                               at::Tensor& out) const = 0;
  // Norms q and k of packed rows [q | k | v] if there are norms, and rotates them by position; leaves q in
  // place and writes k and v to their slots. qkv: [N, (H + 2 Hkv) D]
  virtual void RopeAndStore(at::Tensor& qkv, int64_t heads, const HeadNorms& norms, const Rotary& rotary,
                            const at::Tensor& slots, KvLayer& kv) const = 0;
  // silu(gate) * up of rows [gate | up]. gate_up: [N, 2 I], out: [N, I]
  virtual void SiluMul(const at::Tensor& gate_up, at::Tensor& out) const = 0;
  // silu(gate) * up, where x W^T + bias = [gate | up]. x: [N, K], out: [N, I]; gate_up: [N, 2 I], for
  // intermediate values
  virtual void GatedLinear(const at::Tensor& x, const LinearWeights& w, at::Tensor& gate_up,
                           at::Tensor& out) const;
  // Attention of each token of a window to the whole window, as in a vision tower with weights of this dtype.
  // q, k, v, out: [W, T, H, D], heads contiguous
  virtual void AttendWindows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             at::ScalarType weights, at::Tensor& out) const;
  // The largest of each row, and its index: the first one's if several are equal, exact below 2^24. NaN if
  // the row has a NaN. logits: [S, V] float32, out: [S, 2] float32
  virtual void Largest(const at::Tensor& logits, at::Tensor& out) const;
  // Whether logits are in the host's memory, where it reads them all.
  virtual bool host_reads_logits() const { return false; }
  // Of some rows of logits, what a token is sampled from (leading_tokens.h).
  //   logits: [S, V] float32, largest: [S, 2] as Largest leaves it, rows: [W] int64, temperatures: [W]
  //   float32, out: [W, kLeadingColumns] float32
  virtual void FindLeading(const at::Tensor& logits, const at::Tensor& largest, const at::Tensor& rows,
                           const at::Tensor& temperatures, at::Tensor& out) const;

  // Linear to a new tensor.
  at::Tensor Linear(const at::Tensor& x, const LinearWeights& w) const;
};

}  // namespace varserve::backend
