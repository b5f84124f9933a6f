#include "server/model/kv_cache.h"

#include <ATen/ATen.h>

namespace varserve::model {

int64_t KvCache::BlockBytes(const DecoderConfig& c, at::ScalarType dtype) {
  const int64_t kv = 2 * c.num_key_value_heads * c.head_dim * static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t phi = 2 * static_cast<int64_t>(sizeof(float));
  return c.num_hidden_layers * kBlockSize * (kv + phi);
}

KvCache::KvCache(const DecoderConfig& c, int64_t num_blocks, at::ScalarType dtype, at::Device device)
    : num_blocks_(num_blocks) {
  const auto options = at::TensorOptions().device(device);
  // Zeros, not garbage: masked slots are multiplied by 0, which must not meet NaN.
  kv_ = at::zeros({c.num_hidden_layers, 2, num_blocks + 1, c.num_key_value_heads, kBlockSize, c.head_dim},
                  options.dtype(dtype));
  phi_ = at::zeros({c.num_hidden_layers, 2, (num_blocks + 1) * kBlockSize}, options.dtype(at::kFloat));
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) layers_.push_back({kv_[l][0], kv_[l][1], phi_[l]});
}

void KvCache::ReadPhi(const at::Tensor& slots, at::Tensor& out) const {
  at::index_select_out(out, phi_, 2, slots);
}

void KvCache::Clear(absl::Span<const int32_t> blocks) {
  for (const int32_t block : blocks) {
    TORCH_CHECK(block < num_blocks_, "there is no block ", block);
    kv_.select(2, block).zero_();
    phi_.narrow(2, block * kBlockSize, kBlockSize).zero_();
  }
}

}  // namespace varserve::model
