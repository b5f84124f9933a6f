#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/backend/torch/prefix_attention.h"
#include "server/backend/torch/row_changes.h"
#include "server/backend/torch/row_groups.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {
namespace {

using interventions::RowChange;

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
  // The rows' scores and weights exist for all heads at once, before and after a change, in addition to
  // a group's K or V gathered and in float32.
  int64_t workspace_bytes(const RowLimits& limits) const override {
    if (device_.is_cpu()) return 0;  // only a reference there
    const int64_t scores = (limits.single_rows + limits.other_rows) * limits.heads * limits.slots;
    const int64_t slots = std::clamp(TorchRows::kMostSlots, limits.slots, limits.single_rows * limits.slots);
    const int64_t gathered = slots * limits.kv_heads * limits.head_dim;
    return static_cast<int64_t>(sizeof(float)) * (7 * scores + 2 * gathered);
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
      at::Tensor scores = at::matmul(group_q, Gather(kv.k, g).transpose(2, 3))
                              .mul_(scale)
                              .view({g.num_sequences, kv_heads, heads / kv_heads, g.rows_each, g.slots});
      const auto softmax = [&](const at::Tensor& all) {
        return all
            .masked_fill(g.visible.unsqueeze(1).unsqueeze(1).logical_not(),
                         -std::numeric_limits<double>::infinity())
            .softmax(-1);
      };
      at::Tensor weights = softmax(scores);  // [B, Hkv, G, Tq, S]

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
      at::Tensor sums = at::zeros({g.num_sequences, g.rows_each, 4}, weights.options());
      if (g.Has(RowChange::kReweigh)) {
        const at::Tensor before = weights;
        weights = softmax(Reweigh(g, layer, scores));
        sums += ReweighedSums(g, layer, before, weights);
      }
      if (g.Has(RowChange::kRedistribute)) sums += Redistribute(g, layer, kv, weights);
      add_to_maps(1);

      // A weight of 0 is not enough: 0 times a value that is not finite is NaN.
      const at::Tensor values = Gather(kv.v, g).masked_fill_(g.unseen, 0.0);
      at::Tensor result = at::matmul(weights.view({g.num_sequences, kv_heads, -1, g.slots}), values)
                              .view({g.num_sequences, kv_heads, heads / kv_heads, g.rows_each, head_dim});
      if (g.Has(RowChange::kSuppressHeads)) sums += SuppressHeads(g, layer, scores, weights, result);
      evidence.sums.select(0, layer).select(1, 0).index_copy_(0, g.row_index, sums.view({-1, 4}));
      result = result.permute({0, 3, 1, 2, 4}).reshape({-1, heads, head_dim});  // [B * Tq, H, D]
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
