// The KV pool: blocks of K, V and phi of all layers, allocated once. Which block belongs to whom is the
// engine's business.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/backend/kv_layer.h"
#include "server/model/model_config.h"

namespace varserve::model {

class KvCache {
 public:
  static constexpr int64_t kBlockSize = 16;  // slots

  KvCache(const DecoderConfig& config, int64_t num_blocks, at::ScalarType dtype, at::Device device);

  // Bytes one block takes over all layers.
  static int64_t BlockBytes(const DecoderConfig& config, at::ScalarType dtype);

  backend::KvLayer& layer(int index) { return layers_[index]; }
  int64_t num_blocks() const { return num_blocks_; }
  // A block beyond the pool's, for rows that only fill up a step. Its content means nothing.
  int32_t padding_block() const { return static_cast<int32_t>(num_blocks_); }
  // phi of some slots. slots: [n] int64, out: [L, 2, n] float32
  void ReadPhi(const at::Tensor& slots, at::Tensor& out) const;
  // Fills blocks with zeros, so that nothing that is not finite is left in them.
  void Clear(absl::Span<const int32_t> blocks);

 private:
  const int64_t num_blocks_;
  at::Tensor kv_;                         // [L, 2, blocks + 1, Hkv, block_size, D]
  at::Tensor phi_;                        // [L, 2, (blocks + 1) * block_size] float32
  std::vector<backend::KvLayer> layers_;  // views
};

}  // namespace varserve::model
