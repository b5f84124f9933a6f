// Attention of many queries to the same keys and values, for processors whose linear layers read bfloat16
// weights in panels: keys are the weights of one linear layer, values those of another, and a softmax is
// between them. Queries, keys, values and the softmax's exponentials are bfloat16, sums are float32.
//
// A query's result depends only on itself and the keys it sees, bit for bit: not on other queries or tiles.
// Letters: R queries, S slots, H heads, Hkv KV heads, D head size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "server/backend/cpu/aligned_vector.h"
#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu {

struct DenseAttentionArgs {
  const float* q = nullptr;  // [R, H, D], rows q_stride apart
  int64_t q_stride = 0;
  float* out = nullptr;  // [R, H, D], rows out_stride apart
  int64_t out_stride = 0;
  // [S] each slot's key and value of the first KV head, [D] in bfloat16; those of the next one are
  // kv_head_stride further.
  std::span<const uint16_t* const> keys;
  std::span<const uint16_t* const> values;
  int64_t kv_head_stride = 0;
  int rows = 0;  // R
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  // The last row sees all slots, each row before it one less; else all rows see all slots.
  bool causal = false;

  // Number of slots that a row sees.
  int seen(int row) const { return static_cast<int>(keys.size()) - (causal ? rows - 1 - row : 0); }
};

// One thread's packed keys, values and scores. Thread-compatible.
class DenseAttention {
 public:
  // kernels: that read panels. They must outlive the object.
  explicit DenseAttention(const CpuKernels& kernels) : kernels_(kernels) {}

  static int NumTiles(const DenseAttentionArgs& args) { return args.kv_heads * RowTiles(args); }
  // Tiles [begin, end) of NumTiles().
  void Run(const DenseAttentionArgs& args, int begin, int end);

 private:
  static int TileRows(const DenseAttentionArgs& args);
  static int RowTiles(const DenseAttentionArgs& args) {
    return (args.rows + TileRows(args) - 1) / TileRows(args);
  }
  void Pack(const DenseAttentionArgs& args, int kv_head);
  void Attend(const DenseAttentionArgs& args, int kv_head, int first_row, int rows);

  const CpuKernels& kernels_;
  std::vector<const uint16_t*> of_head_;  // [S] keys or values of a KV head
  AlignedVector<uint16_t> keys_;          // panels of S outputs and D inputs
  AlignedVector<uint16_t> values_;        // for each segment of slots, panels of D outputs
  AlignedVector<float> queries_;          // [R Hq, packed_inputs(D)] of a tile, head by head; Hq = H / Hkv
  AlignedVector<float> scores_;           // [R Hq, S]
  AlignedVector<float> weights_;          // [R Hq, packed_inputs(S)]
  AlignedVector<float> totals_;           // [R Hq] sums of weights
  AlignedVector<float> sums_;             // [R Hq, D, rounded up to whole registers]
};

}  // namespace varserve::backend::cpu
