// The language model: a Llama decoder over the tokens of one step, of any sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "server/backend/backend.h"
#include "server/model/kv_cache.h"
#include "server/model/model_config.h"
#include "server/model/rotary.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

// Visual tokens next to each other, whose hidden states get more of their image after the first layers.
struct DeepstackRows {
  int64_t first = 0;                 // of the step's N
  std::vector<at::Tensor> features;  // [n, C] each: after layer 0, 1, ..., never after the last one
};

// One step's tokens: first the R rows that attend explicitly, then the prefix chunks. N tokens, S of them
// sampled.
struct DecoderInput {
  at::Tensor token_ids;  // [N] int64
  at::Tensor positions;  // [A, N] int64, for rotary embedding: A axes (RopeConfig::num_axes)
  at::Tensor slots;      // [N] int64, where each token's K, V and phi go
  at::Tensor sampled;    // [S] int64, tokens whose logits are wanted
  std::unique_ptr<backend::PreparedRows> rows;
  int64_t num_rows = 0;  // R
  std::vector<backend::PrefixChunk> prefix;
  std::vector<DeepstackRows> deepstack;
};

// What a step computes, one layer after the other, in the activation dtype unless it says otherwise.
struct DecoderBuffers {
  at::Tensor hidden;            // [N, C]
  backend::Rotary rotary;       // of the tokens' positions
  at::Tensor normed;            // [N, C]
  at::Tensor qkv;               // [N, (H + 2 Hkv) D]
  at::Tensor attended;          // [N, H, D]
  at::Tensor gate_up;           // [N, 2 I]
  at::Tensor gated;             // [N, I]
  at::Tensor sampled_attended;  // [S, H D], the last layer's
  at::Tensor sampled_hidden;    // [S, C]
  at::Tensor logits;            // [S, V]
  at::Tensor float_logits;      // [S, V] float32; the same tensor where that is the activation dtype
};

// Const after construction; thread-compatible.
class Decoder {
 public:
  // Sink dimensions are empty if the model has no VAR profile. dtype: of weights
  Decoder(const DecoderConfig& config, const std::vector<int32_t>& sink_dimensions, WeightLoader& weights,
          const backend::Backend& backend, at::Device device, at::ScalarType dtype);

  // For N tokens, S of them sampled.
  DecoderBuffers TakeBuffers(int64_t tokens, int64_t sampled, backend::StepMemory& memory) const;
  // For the rows of a step, filled by Forward.
  backend::RowEvidence TakeEvidence(const backend::RowBatch& batch, backend::StepMemory& memory) const;

  // token_ids: [N] int64, out: [N, C]
  void Embed(const at::Tensor& token_ids, at::Tensor& out) const;
  // Called with the hidden states [N, C] at every layer's input, and after the last layer (l = L).
  using LayerObserver = std::function<void(int l, const at::Tensor& hidden)>;
  // From buffers.hidden to buffers.float_logits. Writes K, V and phi of the tokens, fills the rows' evidence.
  // Does not synchronize with the host, and takes no memory. With an observer, which serving does not have,
  // there are no logits.
  void Forward(const DecoderInput& input, KvCache& cache, backend::RowEvidence& evidence,
               DecoderBuffers& buffers, const LayerObserver& observer = nullptr) const;
  // Bytes of weights times tokens that linear layers compute per second, on a CPU: a layer's MLP of that many
  // tokens, measured.
  double MeasureSpeed(int64_t tokens) const;

 private:
  struct Layer {
    at::Tensor input_layernorm;       // [C] float32
    backend::LinearWeights qkv_proj;  // [(H + 2 Hkv) D, C]
    backend::HeadNorms head_norms;
    backend::LinearWeights o_proj;        // [C, H D]
    at::Tensor post_attention_layernorm;  // [C] float32
    backend::LinearWeights gate_up_proj;  // [2 I, C]
    backend::LinearWeights down_proj;     // [C, I]
  };
  // Attention of all tokens at layer l, from buffers.qkv, rotated, to buffers.attended.
  void Attend(int l, const DecoderInput& input, backend::KvLayer& kv, backend::RowEvidence& evidence,
              DecoderBuffers& buffers) const;
  // Adds what layer l gives the visual tokens. hidden: [N, C]
  static void AddDeepstack(size_t l, const DecoderInput& input, const at::Tensor& hidden);
  // hidden += the layer's MLP of hidden. hidden: [n, C], n at most N
  void AddMlp(const Layer& layer, at::Tensor& hidden, DecoderBuffers& buffers) const;

  const DecoderConfig config_;
  const backend::LayerOps& ops_;
  const backend::Attention& attention_;
  const at::ScalarType dtype_;  // of activations
  backend::SinkTarget sinks_;
  RotaryTable rotary_;
  backend::LinearWeights embed_tokens_;  // [V, C]
  std::vector<Layer> layers_;
  at::Tensor norm_;                 // [C] float32
  backend::LinearWeights lm_head_;  // [V, C]
};

}  // namespace varserve::model
