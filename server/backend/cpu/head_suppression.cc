#include "server/backend/cpu/head_suppression.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace varserve::backend::cpu {
namespace {

void SuppressHeadsOf(const AttentionArgs& a, int row_index) {
  const AttentionRow& row = a.rows[row_index];
  const HeadLook* looks = a.looks + static_cast<int64_t>(row_index) * a.heads;
  std::vector<int> by_score(a.heads);
  std::iota(by_score.begin(), by_score.end(), 0);
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](int x, int y) { return looks[x].score > looks[y].score; });
  RowSums* sums = a.sums + static_cast<int64_t>(row_index) * a.kv_heads;
  std::fill_n(sums, a.kv_heads, RowSums{});
  for (int rank = 0; rank < a.heads; ++rank) {
    const int head = by_score[rank];
    const bool kept = rank < row.kept_heads;
    RowSums& sum = sums[head / (a.heads / a.kv_heads)];
    sum.visual_before += looks[head].visual;
    sum.visual_after += kept ? looks[head].visual : looks[head].visual * row.suppressed_gain;
    if (kept) continue;
    sum.changed_heads += 1.0F;
    float* out = a.out + row_index * a.out_stride + static_cast<int64_t>(head) * a.head_dim;
    for (int d = 0; d < a.head_dim; ++d) out[d] *= row.suppressed_gain;
  }
}

}  // namespace

void SuppressHeads(const AttentionArgs& args) {
  for (int row = 0; row < args.num_rows; ++row) {
    if (args.rows[row].changes(interventions::RowChange::kSuppressHeads, args.layer))
      SuppressHeadsOf(args, row);
  }
}

}  // namespace varserve::backend::cpu
