#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/backend/torch/prefix_attention.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {
namespace {

// Rows computed with one batch of matrix products: the single rows of many sequences, or the many rows of one
// sequence. Shapes: B sequences, Tq rows of each, S slots of the longest, in whole blocks.
struct RowGroup {
  int64_t num_sequences = 0;
  int64_t rows_each = 0;
  int64_t slots = 0;
  at::Tensor row_index;   // [B * Tq] int64, into the batch
  at::Tensor blocks;      // [B * S / block_size] int64
  at::Tensor visual;      // [B, 1, S] float
  at::Tensor visible;     // [B, Tq, S] bool: slots the row attends to
  at::Tensor unseen;      // [B, 1, S, 1] bool: slots no row attends to, which may contain anything
  at::Tensor can_sink;    // [B, Tq, S] bool: visible slots that may be sinks
  at::Tensor num_visual;  // [B, 1, 1, Tq] float: visible visual tokens
  // Parameters of VAR, [B, Tq].
  at::Tensor first_layer, last_layer;  // int64
  at::Tensor tau, rho, p, min_visual;  // float
  at::Tensor authors_code;             // bool
  at::Tensor map_rows, map_ids;        // [maps of the group] int64: row within the group, map
};

class TorchRows : public PreparedRows {
 public:
  TorchRows(const RowBatch& batch, int64_t block_size) {
    std::vector<int64_t> singles;
    int64_t row = 0;
    for (size_t s = 0; s < batch.sequences.size(); ++s) {
      first_row_.push_back(row);
      row += batch.sequences[s].num_rows;
      if (batch.sequences[s].num_rows == 1) {
        singles.push_back(static_cast<int64_t>(s));
      } else if (batch.sequences[s].num_rows > 1) {
        AddGroup(batch, {static_cast<int64_t>(s)}, block_size);
      }
    }
    if (!singles.empty()) AddGroup(batch, singles, block_size);
  }

  std::vector<RowGroup> groups;
  at::Tensor map_flags;  // [L, maps] float

  void MoveTo(const at::Device& device) {
    for (RowGroup& g : groups) {
      for (at::Tensor* t : {&g.row_index, &g.blocks, &g.visual, &g.visible, &g.unseen, &g.can_sink,
                            &g.num_visual, &g.first_layer, &g.last_layer, &g.tau, &g.rho, &g.p, &g.min_visual,
                            &g.authors_code, &g.map_rows, &g.map_ids}) {
        *t = t->to(device, /*non_blocking=*/true);
      }
    }
    map_flags = map_flags.to(device, /*non_blocking=*/true);
  }

 private:
  void AddGroup(const RowBatch& batch, const std::vector<int64_t>& sequences, int64_t block_size) {
    RowGroup g;
    g.num_sequences = static_cast<int64_t>(sequences.size());
    g.rows_each = batch.sequences[sequences.front()].num_rows;
    for (const int64_t s : sequences) {
      g.slots = std::max(g.slots, static_cast<int64_t>(batch.sequences[s].visual.size()));
    }
    const int64_t num_rows = g.num_sequences * g.rows_each;
    g.row_index = at::empty({num_rows}, at::kLong);
    g.blocks =
        at::zeros({g.num_sequences, g.slots / block_size}, at::kLong);  // short tables repeat block 0, masked
    g.visual = at::zeros({g.num_sequences, 1, g.slots});
    g.visible = at::zeros({g.num_sequences, g.rows_each, g.slots}, at::kBool);
    g.can_sink = at::zeros_like(g.visible);
    for (at::Tensor* t : {&g.tau, &g.rho, &g.p, &g.min_visual})
      *t = at::empty({g.num_sequences, g.rows_each});
    for (at::Tensor* t : {&g.first_layer, &g.last_layer})
      *t = at::empty({g.num_sequences, g.rows_each}, at::kLong);
    g.authors_code = at::empty({g.num_sequences, g.rows_each}, at::kBool);
    std::vector<int64_t> map_rows;
    std::vector<int64_t> map_ids;
    for (int64_t b = 0; b < g.num_sequences; ++b) {
      const RowBatch::Sequence& sequence = batch.sequences[sequences[b]];
      std::copy(sequence.blocks.begin(), sequence.blocks.end(), g.blocks[b].data_ptr<int64_t>());
      std::copy(sequence.visual.begin(), sequence.visual.end(), g.visual[b].data_ptr<float>());
      for (int64_t t = 0; t < g.rows_each; ++t) {
        const int64_t index = first_row_[sequences[b]] + t;
        const int64_t at = b * g.rows_each + t;
        const AttentionRow& row = batch.rows[index];
        g.row_index.data_ptr<int64_t>()[at] = index;
        bool* visible = g.visible.data_ptr<bool>() + at * g.slots;
        bool* can_sink = g.can_sink.data_ptr<bool>() + at * g.slots;
        std::fill_n(visible, row.num_slots, true);
        std::fill_n(can_sink, std::min(row.num_slots, row.sink_slots), true);
        for (int32_t slot = sequence.empty_begin; slot < sequence.empty_end; ++slot)
          visible[slot] = can_sink[slot] = false;
        g.first_layer.data_ptr<int64_t>()[at] = row.first_layer;
        g.last_layer.data_ptr<int64_t>()[at] = row.last_layer;
        g.tau.data_ptr<float>()[at] = row.tau;
        g.rho.data_ptr<float>()[at] = row.rho;
        g.p.data_ptr<float>()[at] = row.p;
        g.min_visual.data_ptr<float>()[at] = row.min_visual_attention;
        g.authors_code.data_ptr<bool>()[at] = row.authors_code;
        if (row.map >= 0) {
          map_rows.push_back(at);
          map_ids.push_back(row.map);
        }
      }
    }
    g.unseen = g.visible.any(1).logical_not().view({g.num_sequences, 1, g.slots, 1});
    g.num_visual = (g.visual * g.visible).sum(-1).view({g.num_sequences, 1, 1, g.rows_each});
    g.blocks = g.blocks.view({-1});
    g.map_rows = at::tensor(map_rows, at::kLong);
    g.map_ids = at::tensor(map_ids, at::kLong);
    groups.push_back(std::move(g));
  }

  std::vector<int64_t> first_row_;  // of each sequence
};

// K or V of the group's sequences, gathered. => [B, Hkv, S, D] float
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

// Redistributes attention (docs/var.md, "Redistribution") for all rows and heads of a group. weights: [B,
// Hkv, G, Tq, S], changed in place. => [B, Tq, 4], the sums of RowEvidence
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
  const at::Tensor in_range =
      per_head((g.first_layer <= layer).logical_and(g.last_layer >= layer));  // [B, 1, 1, Tq]
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

class TorchAttention : public Attention {
 public:
  std::unique_ptr<PreparedRows> Prepare(const RowBatch& batch, int64_t block_size,
                                        StepMemory& /*memory*/) const override {
    auto rows = std::make_unique<TorchRows>(batch, block_size);
    std::vector<float> flags;
    for (const auto& layer : batch.map_flags) flags.insert(flags.end(), layer.begin(), layer.end());
    rows->map_flags = at::tensor(flags).view({-1, std::max<int64_t>(batch.num_maps(), 1)});
    rows->MoveTo(device_);
    return rows;
  }
  // The rows' weights exist for all heads at once, and K and V gathered in float32.
  int64_t workspace_bytes(const RowLimits& limits) const override {
    if (device_.is_cpu()) return 0;  // only a reference there
    return static_cast<int64_t>(4 * sizeof(float)) * (limits.single_rows + limits.other_rows) * limits.heads *
           limits.slots;
  }
  int64_t evidence_groups(int64_t /*kv_heads*/) const override { return 1; }

  bool reads_prefix_masks() const override { return true; }

  explicit TorchAttention(at::Device device) : device_(device) {}

  void AttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv,
                    at::Tensor out) const override {
    FlashAttendPrefix(chunk, q, kv, out);
  }

  void AttendRows(const PreparedRows& prepared, int layer, const at::Tensor& q, const KvLayer& kv,
                  at::Tensor out, RowEvidence& evidence) const override {
    const auto& rows = static_cast<const TorchRows&>(prepared);
    const int64_t heads = q.size(1);
    const int64_t kv_heads = kv.kv_heads();
    const int64_t head_dim = kv.head_dim();
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
    for (const RowGroup& g : rows.groups) {
      const at::Tensor group_q =
          q.index_select(0, g.row_index)
              .view({g.num_sequences, g.rows_each, kv_heads, heads / kv_heads, head_dim})
              .permute({0, 2, 3, 1, 4})
              .to(at::kFloat)
              .reshape({g.num_sequences, kv_heads, -1, head_dim});  // [B, Hkv, G * Tq, D]
      at::Tensor weights = at::matmul(group_q, Gather(kv.k, g).transpose(2, 3))
                               .mul_(scale)
                               .view({g.num_sequences, kv_heads, heads / kv_heads, g.rows_each, g.slots});
      weights.masked_fill_(g.visible.unsqueeze(1).unsqueeze(1).logical_not(),
                           -std::numeric_limits<double>::infinity());
      weights = weights.softmax(-1);  // [B, Hkv, G, Tq, S]

      const auto add_to_maps = [&](int64_t stage) {
        if (g.map_ids.size(0) == 0) return;
        const at::Tensor over_heads = weights.sum({1, 2}).view({-1, g.slots}).index_select(0, g.map_rows);
        const at::Tensor flags = rows.map_flags.select(0, layer).index_select(0, g.map_ids).unsqueeze(-1);
        evidence.maps.select(1, 0)
            .select(1, stage)
            .narrow(1, 0, g.slots)
            .index_add_(0, g.map_ids, over_heads * flags);
      };
      add_to_maps(0);
      const at::Tensor sums = Redistribute(g, layer, kv, weights);
      add_to_maps(1);
      evidence.sums.select(0, layer).select(1, 0).index_copy_(0, g.row_index, sums.view({-1, 4}));

      // A weight of 0 is not enough: 0 times a value that is not finite is NaN.
      const at::Tensor values = Gather(kv.v, g).masked_fill_(g.unseen, 0.0);
      const at::Tensor result =
          at::matmul(weights.view({g.num_sequences, kv_heads, -1, g.slots}), values)
              .view({g.num_sequences, kv_heads, heads / kv_heads, g.rows_each, head_dim})
              .permute({0, 3, 1, 2, 4})
              .reshape({-1, heads, head_dim});  // [B * Tq, H, D]
      out.index_copy_(0, g.row_index, result.to(out.scalar_type()));
    }
  }

 private:
  at::Device device_;
};

}  // namespace

std::unique_ptr<Attention> MakeTorchAttention(at::Device device) {
  return std::make_unique<TorchAttention>(device);
}

}  // namespace varserve::backend
