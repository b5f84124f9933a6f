#include <ATen/Parallel.h>

#include <algorithm>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/dense_attention.h"
#include "server/backend/cpu/head_suppression.h"
#include "server/backend/cpu/storage_type.h"

namespace varserve::backend {
namespace {

using cpu::AttentionArgs;
using cpu::AttentionSequence;

class CpuRows : public PreparedRows {
 public:
  explicit CpuRows(const RowBatch& b) : batch(b) {
    for (const RowBatch::Sequence& s : batch.sequences) {
      sequences.push_back({s.blocks.data(), s.visual.data(), s.empty_begin, s.empty_end});
    }
    for (const AttentionRow& row : batch.rows) {
      most_slots = std::max(most_slots, row.num_slots);
      suppresses_heads |= row.change == interventions::RowChange::kSuppressHeads;
    }
  }
  const RowBatch& batch;
  std::vector<AttentionSequence> sequences;
  int32_t most_slots = 0;
  bool suppresses_heads = false;  // of any row
};

class CpuAttention : public Attention {
 public:
  std::unique_ptr<PreparedRows> Prepare(const RowBatch& batch, int64_t /*block_size*/,
                                        StepMemory& /*memory*/) const override {
    return std::make_unique<CpuRows>(batch);
  }
  int64_t workspace_bytes(const RowLimits& /*limits*/) const override { return 0; }  // a few rows' scores
  int64_t evidence_groups(int64_t kv_heads) const override { return kv_heads; }

  void AttendRows(const PreparedRows& prepared, int layer, const at::Tensor& q, const KvLayer& kv,
                  at::Tensor out, RowEvidence& evidence) const override {
    const auto& rows = static_cast<const CpuRows&>(prepared);
    AttentionArgs args = Args(q, kv, out);
    args.phi = kv.phi.const_data_ptr<float>();
    args.phi_plane_stride = kv.phi.stride(0);
    args.layer = layer;
    args.rows = rows.batch.rows.data();
    args.sequences = rows.sequences.data();
    args.sums = reinterpret_cast<RowSums*>(evidence.sums.select(0, layer).mutable_data_ptr<float>());
    if (rows.batch.num_maps() > 0) {
      args.maps = evidence.maps.mutable_data_ptr<float>();
      args.map_flags = rows.batch.map_flags[layer].data();
      args.map_slots = evidence.maps.size(3);
    }
    std::vector<cpu::HeadLook> looks;
    if (rows.suppresses_heads) looks.resize(static_cast<size_t>(args.num_rows) * args.heads);
    args.looks = looks.data();
    Run(args, rows.most_slots);
    if (rows.suppresses_heads) cpu::SuppressHeads(args);
  }

  void AttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv,
                    at::Tensor out) const override {
    const int64_t* blocks = chunk.blocks.const_data_ptr<int64_t>();
    if (kv.k.scalar_type() == at::kBFloat16 && cpu::GetCpuKernels().reads_panels)
      return AttendPrefixDense(chunk, blocks, q, kv, out);
    const std::vector<int32_t> table(blocks, blocks + chunk.blocks.size(0));
    const AttentionSequence sequence{.blocks = table.data()};
    std::vector<AttentionRow> rows(chunk.count);
    for (int64_t i = 0; i < chunk.count; ++i) rows[i].num_slots = static_cast<int32_t>(chunk.start + i + 1);
    AttentionArgs args = Args(q, kv, out);
    args.rows = rows.data();
    args.sequences = &sequence;
    Run(args, rows.back().num_slots);
  }

 private:
  static void AttendPrefixDense(const PrefixChunk& chunk, const int64_t* blocks, const at::Tensor& q,
                                const KvLayer& kv, at::Tensor& out) {
    const auto rows = [&](const at::Tensor& pool) {
      const auto* first = static_cast<const uint16_t*>(pool.const_data_ptr());
      std::vector<const uint16_t*> pointers(chunk.start + chunk.count);
      for (size_t slot = 0; slot < pointers.size(); ++slot) {
        pointers[slot] = first + blocks[slot / kv.block_size()] * pool.stride(0) +
                         static_cast<int64_t>(slot % kv.block_size()) * pool.stride(2);
      }
      return pointers;
    };
    const std::vector<const uint16_t*> keys = rows(kv.k);
    const std::vector<const uint16_t*> values = rows(kv.v);
    const cpu::DenseAttentionArgs args{.q = q.const_data_ptr<float>(),
                                       .q_stride = q.stride(0),
                                       .out = out.mutable_data_ptr<float>(),
                                       .out_stride = out.stride(0),
                                       .keys = keys,
                                       .values = values,
                                       .kv_head_stride = kv.k.stride(1),
                                       .rows = static_cast<int>(chunk.count),
                                       .heads = static_cast<int>(q.size(1)),
                                       .kv_heads = static_cast<int>(kv.kv_heads()),
                                       .head_dim = static_cast<int>(kv.head_dim()),
                                       .causal = true};
    at::parallel_for(0, cpu::DenseAttention::NumTiles(args), 1, [&](int64_t begin, int64_t end) {
      cpu::DenseAttention(cpu::GetCpuKernels()).Run(args, static_cast<int>(begin), static_cast<int>(end));
    });
  }

  static AttentionArgs Args(const at::Tensor& q, const KvLayer& kv, at::Tensor& out) {
    return {.q = q.const_data_ptr<float>(),
            .q_stride = q.stride(0),
            .k_pool = kv.k.const_data_ptr(),
            .v_pool = kv.v.const_data_ptr(),
            .kv_type = StorageTypeOf(kv.k),
            .heads = static_cast<int>(q.size(1)),
            .kv_heads = static_cast<int>(kv.kv_heads()),
            .head_dim = static_cast<int>(kv.head_dim()),
            .block_size = static_cast<int>(kv.block_size()),
            .num_rows = static_cast<int>(q.size(0)),
            .scale = 1.0F / std::sqrt(static_cast<float>(kv.head_dim())),
            .out = out.mutable_data_ptr<float>(),
            .out_stride = out.stride(0)};
  }

  static void Run(const AttentionArgs& args, int32_t most_slots) {
    at::parallel_for(0, int64_t{args.num_rows} * args.kv_heads, 1, [&](int64_t begin, int64_t end) {
      const auto scratch = std::make_unique_for_overwrite<float[]>(cpu::AttentionScratch(args, most_slots));
      cpu::GetCpuKernels().attention(args, scratch.get(), static_cast<int>(begin), static_cast<int>(end));
    });
  }
};

}  // namespace

std::unique_ptr<Attention> MakeCpuAttention() { return std::make_unique<CpuAttention>(); }

}  // namespace varserve::backend
