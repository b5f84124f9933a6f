#include "server/model/decoder.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"

namespace varserve::model {

Decoder::Decoder(const DecoderConfig& config, const std::vector<int32_t>& sink_dimensions,
                 WeightLoader& weights, const backend::Backend& backend, at::Device device)
    : config_(config),
      ops_(backend.ops()),
      attention_(backend.attention()),
      rotary_(config.rope, config.head_dim, config.max_position_embeddings, device) {
  sinks_.dimensions = at::tensor(sink_dimensions, at::kInt).to(device, ops_.SinkIndexDtype());
  sinks_.eps = config.rms_norm_eps;

  const int64_t width = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const int64_t q = static_cast<int64_t>(config.num_attention_heads) * config.head_dim;
  const int64_t kv = static_cast<int64_t>(config.num_key_value_heads) * config.head_dim;
  embed_tokens_ =
      ops_.Prepare(weights.Load("language_model.embed_tokens.weight", {config.vocab_size, width}));
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string at = absl::StrCat("language_model.layers.", i, ".");
    Layer layer;
    layer.input_layernorm = weights.LoadFloat(at + "input_layernorm.weight", {width});
    layer.qkv_proj = ops_.Prepare(weights.LoadStacked({{at + "self_attn.q_proj.weight", q},
                                                       {at + "self_attn.k_proj.weight", kv},
                                                       {at + "self_attn.v_proj.weight", kv}},
                                                      {width}));
    layer.o_proj = ops_.Prepare(weights.Load(at + "self_attn.o_proj.weight", {width, q}));
    layer.post_attention_layernorm = weights.LoadFloat(at + "post_attention_layernorm.weight", {width});
    layer.gate_up_proj = ops_.Prepare(weights.LoadStacked(
        {{at + "mlp.gate_proj.weight", inner}, {at + "mlp.up_proj.weight", inner}}, {width}));
    layer.down_proj = ops_.Prepare(weights.Load(at + "mlp.down_proj.weight", {width, inner}));
    layers_.push_back(std::move(layer));
  }
  norm_ = weights.LoadFloat("language_model.norm.weight", {width});
  lm_head_ = config.tie_word_embeddings
                 ? embed_tokens_
                 : ops_.Prepare(weights.Load("lm_head.weight", {config.vocab_size, width}));
}

backend::RowEvidence Decoder::MakeEvidence(const backend::RowBatch& batch) const {
  return {batch, config_.num_hidden_layers, attention_.evidence_groups(config_.num_key_value_heads),
          norm_.device()};
}

at::Tensor Decoder::Embed(const at::Tensor& token_ids) const {
  return ops_.Embedding(token_ids, embed_tokens_);
}

at::Tensor Decoder::Attend(int l, const at::Tensor& qkv, const DecoderInput& input, backend::KvLayer& kv,
                           backend::RowEvidence& evidence) const {
  const int64_t heads = config_.num_attention_heads;
  const int64_t head_dim = config_.head_dim;
  const at::Tensor q = qkv.narrow(1, 0, heads * head_dim).unflatten(1, {heads, head_dim});  // [N, H, D]
  at::Tensor out = at::empty({qkv.size(0), heads, head_dim}, qkv.options());
  if (input.num_rows > 0) {
    attention_.AttendRows(*input.rows, l, q.narrow(0, 0, input.num_rows), kv,
                          out.narrow(0, 0, input.num_rows), evidence);
  }
  for (const backend::PrefixChunk& chunk : input.prefix) {
    attention_.AttendPrefix(chunk, q.narrow(0, chunk.first, chunk.count), kv,
                            out.narrow(0, chunk.first, chunk.count));
  }
  return out.flatten(1);
}

at::Tensor Decoder::Forward(DecoderInput input, KvCache& cache, backend::RowEvidence& evidence) const {
  const backend::Rotary rotary = rotary_.At(input.positions);
  at::Tensor& hidden = input.hidden;  // [N, C]
  for (int l = 0; l < config_.num_hidden_layers; ++l) {
    const Layer& layer = layers_[l];
    if (input.on_layer) input.on_layer(l, hidden);
    backend::KvLayer& kv = cache.layer(l);
    const at::Tensor normed = sinks_.dimensions.numel() > 0
                                  ? ops_.RmsNormAndSinks(hidden, layer.input_layernorm, config_.rms_norm_eps,
                                                         sinks_, input.slots, kv)
                                  : ops_.RmsNorm(hidden, layer.input_layernorm, config_.rms_norm_eps);
    at::Tensor qkv = ops_.Linear(normed, layer.qkv_proj);  // [N, (H + 2 Hkv) D]
    ops_.RopeAndStore(qkv, config_.num_attention_heads, rotary, input.slots, kv);
    at::Tensor attended = Attend(l, qkv, input, kv, evidence);
    // After the last layer's attention, only the tokens whose logits are wanted continue.
    if (l + 1 == config_.num_hidden_layers && !input.on_layer) {
      if (input.sampled.numel() == 0) return {};
      attended = attended.index_select(0, input.sampled);
      hidden = hidden.index_select(0, input.sampled);
    }
    ops_.LinearAdd(attended, layer.o_proj, hidden);

    const at::Tensor post = ops_.RmsNorm(hidden, layer.post_attention_layernorm, config_.rms_norm_eps);
    ops_.LinearAdd(ops_.SiluMul(ops_.Linear(post, layer.gate_up_proj)), layer.down_proj, hidden);
  }
  if (input.on_layer) {
    input.on_layer(config_.num_hidden_layers, hidden);
    return {};
  }
  return ops_.Linear(ops_.RmsNorm(hidden, norm_, config_.rms_norm_eps), lm_head_).to(at::kFloat);  // [S, V]
}

}  // namespace varserve::model
