#include "server/backend/cuda/attention.h"

#include <ATen/ATen.h>

#include <bit>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/backend/cuda/row_tables.h"
#include "server/base/status_macros.h"

namespace varserve::backend {
namespace {

class CudaAttention : public Attention {
 public:
  struct Forms {
    const KernelForm* decode;
    const KernelForm* text;
    const KernelForm* combine;
    const KernelForm* maps;
    const KernelForm* prefix;
  };
  CudaAttention(std::shared_ptr<const Kernels> kernels, Forms forms, const HeadShape& heads)
      : kernels_(std::move(kernels)), forms_(forms), heads_(heads) {}

  std::unique_ptr<PreparedRows> Prepare(const RowBatch& batch, int64_t block_size,
                                        StepMemory& memory) const override {
    auto tables = std::make_unique<RowTables>(batch, block_size, forms_.text->lanes / heads_.group(), memory);
    tables->TakeWorkspace(heads_.heads, heads_.head_dim, memory);
    return tables;
  }
  int64_t workspace_bytes(const RowLimits& limits) const override {
    const int64_t splits = limits.single_rows * CeilDiv(limits.slots, kDecodeSplitSlots) +
                           limits.other_rows * CeilDiv(limits.slots, kTextSplitSlots);
    const int64_t values =
        splits * (3 * heads_.head_dim + kRowStats) + (limits.single_rows + limits.other_rows) * kRowFactors;
    return static_cast<int64_t>(sizeof(float)) * heads_.heads * values;
  }
  int64_t evidence_groups(int64_t kv_heads) const override { return kv_heads; }

  void AttendRows(const PreparedRows& prepared, int layer, const at::Tensor& q, const KvLayer& kv,
                  at::Tensor out, RowEvidence& evidence) const override {
    const auto& t = static_cast<const RowTables&>(prepared);
    for (const auto& [form, rows] : {std::pair(forms_.decode, &t.decode), std::pair(forms_.text, &t.text)}) {
      kernels_->Launch(*form, {rows->num_tiles(), heads_.kv_heads, rows->num_splits()},
                       {q,
                        kv.k,
                        kv.v,
                        kv.phi,
                        t.row_ints,
                        t.row_floats,
                        rows->device_tiles,
                        t.blocks,
                        t.empty,
                        t.visual,
                        t.partial,
                        t.stats,
                        q.stride(0),
                        kv.phi.stride(0),
                        t.max_blocks,
                        heads_.heads,
                        heads_.kv_heads,
                        heads_.head_dim,
                        rows->split_slots,
                        layer,
                        Scale()});
    }
    kernels_->Launch(*forms_.combine, {t.num_rows, heads_.kv_heads},
                     {t.partial, t.stats, t.row_ints, t.row_floats, out, evidence.sums.select(0, layer),
                      t.factors, out.stride(0), heads_.heads, heads_.kv_heads, heads_.head_dim, layer});
    if (t.num_maps > 0) AddToMaps(t, layer, q, kv, evidence.maps);
  }

  void AttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv,
                    at::Tensor out) const override {
    kernels_->Launch(*forms_.prefix, {CeilDiv(chunk.count, forms_.prefix->lanes), heads_.heads},
                     {q, kv.k, kv.v, chunk.blocks, out, q.stride(0), out.stride(0), chunk.count, chunk.start,
                      heads_.heads, heads_.kv_heads, heads_.head_dim, Scale()});
  }

 private:
  void AddToMaps(const RowTables& t, int layer, const at::Tensor& q, const KvLayer& kv,
                 const at::Tensor& maps) const {
    const int64_t max_slots = maps.size(3);
    kernels_->Launch(*forms_.maps, {t.num_maps, heads_.kv_heads, CeilDiv(max_slots, forms_.maps->slots)},
                     {q,
                      kv.k,
                      kv.phi,
                      t.row_ints,
                      t.row_floats,
                      t.factors,
                      t.map_rows,
                      t.map_flags.select(0, layer),
                      t.blocks,
                      t.empty,
                      t.visual,
                      maps,
                      q.stride(0),
                      kv.phi.stride(0),
                      t.max_blocks,
                      max_slots,
                      heads_.heads,
                      heads_.kv_heads,
                      heads_.head_dim,
                      layer,
                      Scale()});
  }

  float Scale() const { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(heads_.head_dim))); }

  const std::shared_ptr<const Kernels> kernels_;
  const Forms forms_;
  const HeadShape heads_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Attention>> MakeCudaAttention(std::shared_ptr<const Kernels> kernels,
                                                                   const std::string& type,
                                                                   const HeadShape& heads) {
  const std::string suffix = absl::StrCat("_", type, "_d", heads.head_dim <= 64 ? 64 : 128);
  CudaAttention::Forms forms{};
  ASSIGN_OR_RETURN(forms.decode, kernels->Find("attend_rows_decode" + suffix));
  ASSIGN_OR_RETURN(forms.text, kernels->Find("attend_rows_text" + suffix));
  const uint64_t group = std::bit_ceil(static_cast<uint64_t>(heads.group()));
  ASSIGN_OR_RETURN(forms.combine, kernels->Find(absl::StrCat("combine_rows_g", group, suffix)));
  ASSIGN_OR_RETURN(forms.maps, kernels->Find("attend_maps" + suffix));
  ASSIGN_OR_RETURN(forms.prefix, kernels->Find("attend_prefix" + suffix));
  return std::make_unique<const CudaAttention>(std::move(kernels), forms, heads);
}

}  // namespace varserve::backend
