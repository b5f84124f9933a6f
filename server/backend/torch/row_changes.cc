#include "server/backend/torch/row_changes.h"

#include <ATen/ATen.h>

#include <tuple>

namespace varserve::backend {

using interventions::RowChange;

at::Tensor Gather(const at::Tensor& pool, const RowGroup& g) {
  const int64_t kv_heads = pool.size(1);
  const int64_t head_dim = pool.size(3);
  return pool
      .index_select(0, g.blocks)                                      // [B * nb, Hkv, block, D]
      .view({g.num_sequences, -1, kv_heads, pool.size(2), head_dim})  // [B, nb, Hkv, block, D]
      .transpose(1, 2)                                                // [B, Hkv, nb, block, D]
      .reshape({g.num_sequences, kv_heads, g.slots, head_dim})
      .to(at::kFloat);
}

at::Tensor Redistribute(const RowGroup& g, int layer, const KvLayer& kv, at::Tensor& weights) {
  const auto per_head = [](const at::Tensor& t) {
    return t.unsqueeze(1).unsqueeze(1);
  };  // [B, Tq, ...] over Hkv, G

  const at::Tensor phi =
      kv.phi.view({2, -1, kv.block_size()}).index_select(1, g.blocks).view({2, g.num_sequences, 1, g.slots});
  const at::Tensor row_phi = at::where(g.authors_code.unsqueeze(-1), phi[1], phi[0]);  // [B, Tq, S]
  const at::Tensor sink =
      (row_phi >= g.tau.unsqueeze(-1)).logical_and(g.can_sink).to(at::kFloat);  // [B, Tq, S]
  const at::Tensor visual_sink = sink * g.visual;
  const at::Tensor visual_nonsink = g.visual - visual_sink;
  const at::Tensor text_sink = sink - visual_sink;

  const auto mass = [&](const at::Tensor& members) {
    return (weights * per_head(members)).sum(-1);
  };  // [B, Hkv, G, Tq]
  const at::Tensor m_vs = mass(visual_sink);
  const at::Tensor m_vn = mass(visual_nonsink);
  const at::Tensor m_ts = mass(text_sink);
  const at::Tensor m_v = m_vs + m_vn;

  // The paper compares the visual attention on non-sinks with rho. The authors' code compares that on sinks
  // with 1 - rho, adds 1e-6 for every visual token, and leaves a layer without visual sinks unchanged.
  const at::Tensor paper = m_vn / m_v >= per_head(g.rho);
  const at::Tensor has_visual_sink = per_head(visual_sink.sum(-1) > 0);
  const at::Tensor authors =
      (m_vs / (m_v + g.num_visual * 1e-6) <= 1.0 - per_head(g.rho)).logical_and(has_visual_sink);
  const at::Tensor in_range = g.Changed(RowChange::kRedistribute, layer);  // [B, 1, 1, Tq]
  const at::Tensor image_centric = at::where(per_head(g.authors_code), authors, paper)
                                       .logical_and(m_v >= per_head(g.min_visual))
                                       .logical_and(m_vn > 0)
                                       .logical_and(in_range);  // [B, Hkv, G, Tq]

  const at::Tensor selected = image_centric.to(at::kFloat);
  const at::Tensor p = per_head(g.p) * selected;
  const at::Tensor omega = p * (m_vs + m_ts);
  const at::Tensor gain = at::where(image_centric, omega / m_vn, 0.0);
  // 1 - p on sinks, 1 + omega / m_vn on visual tokens that are not sinks, 1 elsewhere.
  weights =
      weights * (1.0 - p.unsqueeze(-1) * per_head(sink) + gain.unsqueeze(-1) * per_head(visual_nonsink));

  const at::Tensor measured = in_range.to(at::kFloat);
  return at::stack({selected, omega, m_v * measured, (m_v + omega - p * m_vs) * measured}, -1).sum({1, 2});
}

at::Tensor Reweigh(const RowGroup& g, int layer, const at::Tensor& scores) {
  const auto over_heads = [](const at::Tensor& t) { return t.unsqueeze(1).unsqueeze(1).unsqueeze(-1); };
  const at::Tensor is_visual = (g.visual > 0).view({g.num_sequences, 1, 1, 1, g.slots});
  const at::Tensor is_text = at::arange(g.slots, g.visual.options().dtype(at::kLong)) <
                             over_heads(g.text_slots);  // [B, 1, 1, Tq, S]
  const at::Tensor visual = scores * over_heads(g.visual_scale) + scores.abs() * over_heads(g.visual_boost);
  const at::Tensor changed =
      at::where(is_visual, visual, at::where(is_text, scores * over_heads(g.text_scale), scores));
  return at::where(g.Changed(RowChange::kReweigh, layer).unsqueeze(-1), changed, scores);
}

at::Tensor SuppressHeads(const RowGroup& g, int layer, const at::Tensor& scores, const at::Tensor& weights,
                         at::Tensor& result) {
  const at::Tensor seen = g.visual.logical_and(g.visible).unsqueeze(1).unsqueeze(1);  // [B, 1, 1, Tq, S]
  const at::Tensor looks = at::where(seen, scores, 0.0).sum(-1).flatten(1, 2);        // [B, H, Tq]
  const at::Tensor rank = std::get<1>(at::sort(looks, /*stable=*/true, /*dim=*/1, /*descending=*/true))
                              .argsort(/*stable=*/true, /*dim=*/1, /*descending=*/false);
  const at::Tensor in_range = g.Changed(RowChange::kSuppressHeads, layer);  // [B, 1, 1, Tq]
  const at::Tensor suppressed =
      (rank >= g.kept_heads.unsqueeze(1)).view(weights.sizes().slice(0, 4)).logical_and(in_range);
  const at::Tensor gain = at::where(suppressed, g.suppressed_gain.unsqueeze(1).unsqueeze(1), 1.0);
  result.mul_(gain.unsqueeze(-1));
  const at::Tensor visual = (weights * g.visual.unsqueeze(1).unsqueeze(1)).sum(-1) * in_range;
  return at::stack({suppressed.to(at::kFloat), at::zeros_like(visual), visual, visual * gain}, -1)
      .sum({1, 2});
}

at::Tensor ReweighedSums(const RowGroup& g, int layer, const at::Tensor& before, const at::Tensor& after) {
  const at::Tensor in_range = g.Changed(RowChange::kReweigh, layer);
  const auto mass = [&](const at::Tensor& weights) {
    return (weights * g.visual.unsqueeze(1).unsqueeze(1)).sum(-1) * in_range;
  };
  const at::Tensor visual = mass(before);
  return at::stack({at::ones_like(visual) * in_range, at::zeros_like(visual), visual, mass(after)}, -1)
      .sum({1, 2});
}

}  // namespace varserve::backend
