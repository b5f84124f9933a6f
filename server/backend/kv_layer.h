// One decoder layer's part of the KV pool: K, V and the sink measure phi of every slot. All three have the
// same lifetime.
#pragma once

#include <ATen/core/Tensor.h>

namespace varserve::backend {

// Epsilon of phi in the authors' code; the paper's variant uses the model's.
inline constexpr float kAuthorsCodeEps = 1e-6F;

// Slot s of a sequence is in block table[s / block_size] of its block table, at offset s % block_size.
struct KvLayer {
  at::Tensor k;  // [blocks, Hkv, block_size, D] in the serving dtype
  at::Tensor v;  // [blocks, Hkv, block_size, D]
  // [2, blocks * block_size] float32: plane 0 with the model's epsilon, plane 1 with kAuthorsCodeEps
  at::Tensor phi;

  int64_t kv_heads() const { return k.size(1); }
  int64_t block_size() const { return k.size(2); }
  int64_t head_dim() const { return k.size(3); }
};

}  // namespace varserve::backend
