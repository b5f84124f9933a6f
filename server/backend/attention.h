// The decoder's attention, for plain rows and for rows that an intervention changes (docs/interventions.md).
//
// Interventions cannot change a sequence's prefix, everything up to the end of its image: AttendPrefix
// computes it with plain causal attention. All other tokens, of all sequences of the step and with any
// setting, are rows of one AttendRows call. Their weights are computed explicitly in float32, and what is
// changed is data, row by row.
//
// Letters: B sequences, R rows, Tq query tokens, Tk key tokens, H heads, Hkv KV heads, D head size, L layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "server/backend/kv_layer.h"
#include "server/backend/row_batch.h"
#include "server/backend/step_memory.h"

namespace varserve::backend {

// A RowBatch prepared for a backend (device copies, views). Valid for one step.
class PreparedRows {
 public:
  virtual ~PreparedRows() = default;
};

// A chunk of one sequence's prefix in a step.
struct PrefixChunk {
  int64_t first = 0;  // index of its first token in the step
  int64_t count = 0;
  int64_t start = 0;  // position of its first token in the sequence
  at::Tensor blocks;  // [ceil((start + count) / block_size)] int64 on the device: the sequence's blocks
  at::Tensor mask;    // PrefixMask, the same for all layers; only for Attention::reads_prefix_masks
};

// The largest AttendRows of a server.
struct RowLimits {
  int64_t single_rows = 0;  // of sequences with one row
  int64_t other_rows = 0;   // of sequences with many
  int64_t slots = 0;        // of a sequence
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
};

// Thread-compatible; const after construction.
class Attention {
 public:
  virtual ~Attention() = default;

  // `batch` must outlive the result, which is complete once memory.Send() has been called.
  virtual std::unique_ptr<PreparedRows> Prepare(const RowBatch& batch, int64_t block_size,
                                                StepMemory& memory) const = 0;
  // Device memory that Prepare and AttendRows take at their peak. Bytes.
  virtual int64_t workspace_bytes(const RowLimits& limits) const = 0;
  // Whether AttendPrefix needs PrefixChunk::mask.
  virtual bool reads_prefix_masks() const { return false; }
  // Number of groups into which this backend splits the heads' sums (RowEvidence).
  virtual int64_t evidence_groups(int64_t kv_heads) const = 0;

  // out[r] = attention of row r over its slots, changed if the row's range includes `layer`. `kv` must
  // contain K, V and phi of every slot that a row attends to. Does not synchronize with the host.
  //   q, out: [R, H, D] float, rows may be strided, heads contiguous
  virtual void AttendRows(const PreparedRows& rows, int layer, const at::Tensor& q, const KvLayer& kv,
                          at::Tensor out, RowEvidence& evidence) const = 0;

  // Token i of the chunk attends to prefix tokens [0, start + i]; nothing is changed.
  //   q, out: [count, H, D] float, rows may be strided, heads contiguous
  virtual void AttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv,
                            at::Tensor out) const = 0;
};

// Mask that tensor operators add to a prefix chunk's scores: [count, start + count]; undefined for a chunk
// that begins the sequence.
at::Tensor PrefixMask(int64_t count, int64_t start, const at::TensorOptions& options);

}  // namespace varserve::backend
