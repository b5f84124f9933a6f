#include "server/model/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace varserve::model {

Decoder::Decoder(const DecoderConfig& config, const std::vector<int32_t>& sink_dimensions,
                 WeightLoader& weights, const backend::Backend& backend, at::Device device,
                 at::ScalarType dtype)
    : config_(config),
      ops_(backend.ops()),
      attention_(backend.attention()),
      dtype_(ops_.ActivationDtype(dtype)),
      rotary_(config.rope, config.head_dim, config.max_position_embeddings, device) {
  sinks_.dimensions = at::tensor(sink_dimensions, at::kInt).to(device, ops_.SinkIndexDtype());
  sinks_.eps = config.rms_norm_eps;

  const int64_t width = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const int64_t q = static_cast<int64_t>(config.num_attention_heads) * config.head_dim;
  const int64_t kv = static_cast<int64_t>(config.num_key_value_heads) * config.head_dim;
  using Role = WeightLoader::Role;
  embed_tokens_ = weights.LoadLinear({{"language_model.embed_tokens.weight", config.vocab_size}}, width,
                                     Role::kVocabulary);
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string at = absl::StrCat("language_model.layers.", i, ".");
    Layer layer;
    layer.input_layernorm = weights.LoadFloat(at + "input_layernorm.weight", {width});
    layer.qkv_proj = weights.LoadLinear({{at + "self_attn.q_proj.weight", q},
                                         {at + "self_attn.k_proj.weight", kv},
                                         {at + "self_attn.v_proj.weight", kv}},
                                        width, Role::kLayer, config.qkv_bias);
    if (config.qk_norm) {
      layer.head_norms = {weights.LoadFloat(at + "self_attn.q_norm.weight", {config.head_dim}),
                          weights.LoadFloat(at + "self_attn.k_norm.weight", {config.head_dim}),
                          config.rms_norm_eps};
    }
    layer.o_proj = weights.LoadLinear({{at + "self_attn.o_proj.weight", width}}, q, Role::kLayer);
    layer.post_attention_layernorm = weights.LoadFloat(at + "post_attention_layernorm.weight", {width});
    layer.gate_up_proj = weights.LoadLinear(
        {{at + "mlp.gate_proj.weight", inner}, {at + "mlp.up_proj.weight", inner}}, width, Role::kLayer);
    layer.down_proj = weights.LoadLinear({{at + "mlp.down_proj.weight", width}}, inner, Role::kLayer);
    layers_.push_back(std::move(layer));
  }
  norm_ = weights.LoadFloat("language_model.norm.weight", {width});
  lm_head_ = config.tie_word_embeddings
                 ? embed_tokens_
                 : weights.LoadLinear({{"lm_head.weight", config.vocab_size}}, width, Role::kVocabulary);
}

DecoderBuffers Decoder::TakeBuffers(int64_t tokens, int64_t sampled, backend::StepMemory& memory) const {
  const int64_t width = config_.hidden_size;
  const int64_t inner = config_.intermediate_size;
  const int64_t head_dim = config_.head_dim;
  const int64_t heads = config_.num_attention_heads;
  const auto take = [&](at::IntArrayRef shape) { return memory.Take(shape, dtype_); };
  DecoderBuffers b;
  b.hidden = take({tokens, width});
  b.rotary.cos = memory.Take({tokens, head_dim / 2}, at::kFloat);
  b.rotary.sin = memory.Take({tokens, head_dim / 2}, at::kFloat);
  b.normed = take({tokens, width});
  b.qkv = take({tokens, (heads + 2 * config_.num_key_value_heads) * head_dim});
  b.attended = take({tokens, heads, head_dim});
  b.gate_up = take({tokens, 2 * inner});
  b.gated = take({tokens, inner});
  if (sampled < tokens) {
    b.sampled_attended = take({sampled, heads * head_dim});
    b.sampled_hidden = take({sampled, width});
  }
  b.logits = take({sampled, config_.vocab_size});
  b.float_logits = dtype_ == at::kFloat ? b.logits : memory.Take({sampled, config_.vocab_size}, at::kFloat);
  return b;
}

backend::RowEvidence Decoder::TakeEvidence(const backend::RowBatch& batch,
                                           backend::StepMemory& memory) const {
  return {batch, config_.num_hidden_layers, attention_.evidence_groups(config_.num_key_value_heads), memory};
}

void Decoder::Embed(const at::Tensor& token_ids, at::Tensor& out) const {
  ops_.Embedding(token_ids, embed_tokens_, out);
}

void Decoder::Attend(int l, const DecoderInput& input, backend::KvLayer& kv, backend::RowEvidence& evidence,
                     DecoderBuffers& b) const {
  const int64_t heads = config_.num_attention_heads;
  const int64_t head_dim = config_.head_dim;
  const at::Tensor q = b.qkv.narrow(1, 0, heads * head_dim).unflatten(1, {heads, head_dim});  // [N, H, D]
  if (input.num_rows > 0) {
    attention_.AttendRows(*input.rows, l, q.narrow(0, 0, input.num_rows), kv,
                          b.attended.narrow(0, 0, input.num_rows), evidence);
  }
  for (const backend::PrefixChunk& chunk : input.prefix) {
    attention_.AttendPrefix(chunk, q.narrow(0, chunk.first, chunk.count), kv,
                            b.attended.narrow(0, chunk.first, chunk.count));
  }
}

void Decoder::AddMlp(const Layer& layer, at::Tensor& hidden, DecoderBuffers& b) const {
  const int64_t rows = hidden.size(0);
  at::Tensor normed = b.normed.narrow(0, 0, rows);
  at::Tensor gate_up = b.gate_up.narrow(0, 0, rows);
  at::Tensor gated = b.gated.narrow(0, 0, rows);
  ops_.RmsNorm(hidden, layer.post_attention_layernorm, config_.rms_norm_eps, normed);
  ops_.GatedLinear(normed, layer.gate_up_proj, gate_up, gated);
  ops_.LinearAdd(gated, layer.down_proj, hidden);
}

void Decoder::AddDeepstack(size_t l, const DecoderInput& input, const at::Tensor& hidden) {
  for (const DeepstackRows& rows : input.deepstack) {
    if (l < rows.features.size())
      hidden.narrow(0, rows.first, rows.features[l].size(0)).add_(rows.features[l]);
  }
}

double Decoder::MeasureSpeed(int64_t tokens) const {
  const Layer& layer = layers_.front();
  const auto zeros = [&](int64_t width) { return at::zeros({tokens, width}, dtype_); };
  at::Tensor hidden = zeros(config_.hidden_size);
  DecoderBuffers b;
  b.normed = zeros(config_.hidden_size);
  b.gate_up = zeros(2 * config_.intermediate_size);
  b.gated = zeros(config_.intermediate_size);
  absl::Duration best = absl::InfiniteDuration();  // the first time starts the threads
  for (int i = 0; i < 2; ++i) {
    const absl::Time start = absl::Now();
    AddMlp(layer, hidden, b);
    best = std::min(best, absl::Now() - start);
  }
  const size_t bytes = layer.gate_up_proj.weight.nbytes() + layer.down_proj.weight.nbytes();
  return static_cast<double>(bytes) * static_cast<double>(tokens) / absl::ToDoubleSeconds(best);
}

void Decoder::Forward(const DecoderInput& input, KvCache& cache, backend::RowEvidence& evidence,
                      DecoderBuffers& b, const LayerObserver& observer) const {
  const int64_t tokens = input.token_ids.numel();
  const int64_t sampled = input.sampled.numel();
  evidence.Clear();
  rotary_.At(input.positions, b.rotary);
  at::Tensor hidden = b.hidden;                 // [N, C]
  at::Tensor attended = b.attended.flatten(1);  // [N, H D]
  for (int l = 0; l < config_.num_hidden_layers; ++l) {
    const Layer& layer = layers_[l];
    if (observer) observer(l, hidden);
    backend::KvLayer& kv = cache.layer(l);
    if (sinks_.dimensions.numel() > 0) {
      ops_.RmsNormAndSinks(hidden, layer.input_layernorm, config_.rms_norm_eps, sinks_, input.slots, kv,
                           b.normed);
    } else {
      ops_.RmsNorm(hidden, layer.input_layernorm, config_.rms_norm_eps, b.normed);
    }
    ops_.Linear(b.normed, layer.qkv_proj, b.qkv);
    ops_.RopeAndStore(b.qkv, config_.num_attention_heads, layer.head_norms, b.rotary, input.slots, kv);
    Attend(l, input, kv, evidence, b);
    // After the last layer's attention, only the tokens whose logits are wanted continue.
    if (l + 1 == config_.num_hidden_layers && sampled < tokens && !observer) {
      if (sampled == 0) return;
      at::index_select_out(b.sampled_attended, attended, 0, input.sampled);
      at::index_select_out(b.sampled_hidden, hidden, 0, input.sampled);
      attended = b.sampled_attended;
      hidden = b.sampled_hidden;
    }
    ops_.LinearAdd(attended, layer.o_proj, hidden);
    AddMlp(layer, hidden, b);
    AddDeepstack(l, input, hidden);
  }
  if (observer) return observer(config_.num_hidden_layers, hidden);
  at::Tensor normed = b.normed.narrow(0, 0, sampled);
  ops_.RmsNorm(hidden, norm_, config_.rms_norm_eps, normed);
  ops_.Linear(normed, lm_head_, b.logits);
  if (!b.float_logits.is_same(b.logits)) b.float_logits.copy_(b.logits);
}

}  // namespace varserve::model
