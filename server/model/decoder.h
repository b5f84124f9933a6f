// The language model: a Llama decoder over the tokens of one step, of any sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "server/backend/backend.h"
#include "server/model/kv_cache.h"
#include "server/model/model_config.h"
#include "server/model/rotary.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

// One step's tokens: first the R rows that attend explicitly, then the prefix chunks. N tokens, S of them
// sampled.
struct DecoderInput {
  at::Tensor hidden;     // [N, C] embeddings; overwritten
  at::Tensor positions;  // [N] int64
  at::Tensor slots;      // [N] int64, where each token's K, V and phi go
  at::Tensor sampled;    // [S] int64, tokens whose logits are wanted
  const backend::PreparedRows* rows = nullptr;
  int64_t num_rows = 0;  // R
  std::vector<backend::PrefixChunk> prefix;
  // Called with the hidden states [N, C] at every layer's input, and after the last layer (l = L). If it is
  // set, there are no logits. Not set in serving.
  std::function<void(int l, const at::Tensor& hidden)> on_layer = nullptr;
};

// Const after construction; thread-compatible.
class Decoder {
 public:
  // Sink dimensions are empty if the model has no VAR profile.
  Decoder(const DecoderConfig& config, const std::vector<int32_t>& sink_dimensions, WeightLoader& weights,
          const backend::Backend& backend, at::Device device);

  // For the rows of a step, filled by Forward.
  backend::RowEvidence MakeEvidence(const backend::RowBatch& batch) const;

  // token_ids: [N] int64 => [N, C] in the activation dtype
  at::Tensor Embed(const at::Tensor& token_ids) const;
  // Writes K, V and phi of the tokens, fills the rows' evidence. => logits [S, V] float32; undefined if S is
  // 0. Does not synchronize with the host.
  at::Tensor Forward(DecoderInput input, KvCache& cache, backend::RowEvidence& evidence) const;

 private:
  struct Layer {
    at::Tensor input_layernorm;           // [C] float32
    backend::LinearWeights qkv_proj;      // [(H + 2 Hkv) D, C]
    backend::LinearWeights o_proj;        // [C, H D]
    at::Tensor post_attention_layernorm;  // [C] float32
    backend::LinearWeights gate_up_proj;  // [2 I, C]
    backend::LinearWeights down_proj;     // [C, I]
  };
  // Attention of all tokens at layer l. qkv: [N, (H + 2 Hkv) D], rotated => [N, H D]
  at::Tensor Attend(int l, const at::Tensor& qkv, const DecoderInput& input, backend::KvLayer& kv,
                    backend::RowEvidence& evidence) const;

  const DecoderConfig config_;
  const backend::LayerOps& ops_;
  const backend::Attention& attention_;
  backend::SinkTarget sinks_;
  RotaryTable rotary_;
  backend::LinearWeights embed_tokens_;  // [V, C]
  std::vector<Layer> layers_;
  at::Tensor norm_;                 // [C] float32
  backend::LinearWeights lm_head_;  // [V, C]
};

}  // namespace varserve::model
