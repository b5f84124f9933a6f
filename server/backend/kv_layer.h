// One decoder layer's share of the KV pool: K, V and the sink measure phi of every slot, which live and die
// together.
#pragma once

#include <ATen/core/Tensor.h>

namespace varserve::backend {

// Slot s of a sequence's block table lies in block table[s / block_size] at offset s % block_size.
// Epsilon of phi in the authors' code; the paper's variant takes the model's own.
inline constexpr float kAuthorsCodeEps = 1e-6F;

struct KvLayer {
  at::Tensor k;    // [blocks, Hkv, block_size, D] in the serving dtype
  at::Tensor v;    // [blocks, Hkv, block_size, D]
  at::Tensor phi;  // [2, blocks * block_size] float32; plane 0 with the model's epsilon, plane 1 with 1e-6
                   // (AUTHORS_CODE)

  int64_t kv_heads() const { return k.size(1); }
  int64_t block_size() const { return k.size(2); }
  int64_t head_dim() const { return k.size(3); }
};

}  // namespace varserve::backend
