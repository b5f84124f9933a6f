// Attention of the decoder, the seam between plain and VAR attention (var.md; docs/var.md in the repository).
//
// A sequence's prefix, everything up to its image's end, cannot be changed by VAR: it goes through
// AttendPrefix, plain causal attention. All other tokens, of all sequences of the step and whatever their VAR
// setting, are rows of one AttendRows call: their weights are formed explicitly in float32 and VAR parameters
// are data, row by row.
//
// Letters: B sequences, R rows, Tq query tokens, Tk key tokens, H heads, Hkv KV heads, D head size, L layers.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "server/backend/kv_layer.h"
#include "server/backend/row_batch.h"

namespace varserve::backend {

// Prepared form of a RowBatch for a backend (device copies, views). Valid for one step.
class PreparedRows {
 public:
  virtual ~PreparedRows() = default;
};

// A chunk of one sequence's prefix among the step's tokens.
struct PrefixChunk {
  int64_t first = 0;  // index of its first token in the step
  int64_t count = 0;
  int64_t start = 0;  // position of its first token in the sequence
  at::Tensor blocks;  // [ceil((start + count) / block_size)] int64 on the device, the sequence's blocks
  at::Tensor mask;    // PrefixMask, the same for all layers
};

// Thread-compatible; const after construction.
class Attention {
 public:
  virtual ~Attention() = default;

  // `batch` must outlive the result.
  virtual std::unique_ptr<PreparedRows> Prepare(const RowBatch& batch, int64_t block_size) const = 0;
  // Into how many groups this backend splits the heads' sums (RowEvidence).
  virtual int64_t evidence_groups(int64_t kv_heads) const = 0;

  // out[r] = attention of row r over its slots, with VAR where the row's range holds `layer`. K, V and phi of
  // every slot a row sees must be in `kv`. Does not synchronize with the host.
  //   q, out: [R, H, D] float, rows may be strided, heads contiguous
  virtual void AttendRows(const PreparedRows& rows, int layer, const at::Tensor& q, const KvLayer& kv,
                          at::Tensor out, RowEvidence& evidence) const = 0;

  // Token i of the chunk sees prefix tokens [0, start + i]; no VAR.
  //   q, out: [count, H, D] float, rows may be strided, heads contiguous
  virtual void AttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv,
                            at::Tensor out) const = 0;
};

// Kernels on the CPU: one pass per row and KV head over K and V as stored.
std::unique_ptr<Attention> MakeCpuAttention();
// Tensor operators, on any device; the slow reference of the other, and what CUDA runs.
std::unique_ptr<Attention> MakeTorchAttention(at::Device device);

// What tensor operators add to a prefix chunk's scores: [count, start + count], undefined for a chunk that
// begins the sequence.
at::Tensor PrefixMask(int64_t count, int64_t start, const at::TensorOptions& options);

}  // namespace varserve::backend
