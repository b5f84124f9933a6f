#include "server/backend/cpu/dense_attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu {
namespace {

constexpr int kTileVectors = 64;  // queries of a tile, about
constexpr int kRegister = 16;     // outputs, and queries of an AMX tile
// Slots whose values are one weight matrix. Rows skip the segments that they see nothing of.
constexpr int kSegment = 128;

int Segments(int slots) { return (slots + kSegment - 1) / kSegment; }

// Panels are filled up with zeros, so that computing a few outputs more costs less than leaving them out.
int WholeRegisters(int outputs) { return (outputs + kRegister - 1) / kRegister * kRegister; }

template <typename T>
void Reserve(AlignedVector<T>& memory, int64_t size) {
  if (static_cast<int64_t>(memory.size()) < size) memory.resize(size);
}

}  // namespace

int DenseAttention::TileRows(const DenseAttentionArgs& a) {
  const int group = a.heads / a.kv_heads;
  const int step = kRegister / std::gcd(group, kRegister);  // rows whose queries fill AMX tiles
  return std::max(step, kTileVectors / group / step * step);
}

void DenseAttention::Run(const DenseAttentionArgs& a, int begin, int end) {
  const int row_tiles = RowTiles(a);
  const int tile_rows = TileRows(a);
  for (int tile = begin; tile < end; ++tile) {
    const int in_head = tile % row_tiles;
    if (tile == begin || in_head == 0) Pack(a, tile / row_tiles);
    // From both ends in turn: late rows see more, and threads get equal numbers of tiles.
    const int row_tile = in_head % 2 == 0 ? in_head / 2 : row_tiles - 1 - in_head / 2;
    const int first = row_tile * tile_rows;
    Attend(a, tile / row_tiles, first, std::min(tile_rows, a.rows - first));
  }
}

void DenseAttention::Pack(const DenseAttentionArgs& a, int kv_head) {
  const auto slots = static_cast<int>(a.keys.size());
  const auto of_head = [&](std::span<const uint16_t* const> all) {
    of_head_.clear();
    for (const uint16_t* first : all) of_head_.push_back(first + kv_head * a.kv_head_stride);
    return std::span<const uint16_t* const>(of_head_);
  };
  const PanelShape keys{.out = slots, .in = a.head_dim};
  Reserve(keys_, keys.size());
  PackPanels(keys, of_head(a.keys), 0, keys.panels(), keys_.data());

  const PanelShape values{.out = a.head_dim, .in = kSegment};
  Reserve(values_, Segments(slots) * values.size());
  const std::span<const uint16_t* const> rows = of_head(a.values);
  for (int s = 0; s < Segments(slots); ++s) {
    const int first = s * kSegment;
    PackPanelsOfColumns(values, rows.subspan(first, std::min(kSegment, slots - first)),
                        values_.data() + s * values.size());
  }
}

void DenseAttention::Attend(const DenseAttentionArgs& a, int kv_head, int first_row, int rows) {
  const int group = a.heads / a.kv_heads;
  const int vectors = rows * group;
  const int most_seen = a.seen(first_row + rows - 1);
  const int padded = Segments(most_seen) * kSegment;
  const int query_stride = kernels_.packed_inputs(a.head_dim);
  const int weight_stride = kernels_.packed_inputs(padded);
  Reserve(queries_, int64_t{vectors} * query_stride);
  Reserve(scores_, int64_t{vectors} * padded);
  Reserve(weights_, int64_t{vectors} * weight_stride);
  const int sum_stride = WholeRegisters(a.head_dim);
  Reserve(sums_, int64_t{vectors} * sum_stride);
  const auto offset = [&](int vector, int64_t stride) {
    const int head = kv_head * group + vector / rows;
    return (first_row + vector % rows) * stride + int64_t{head} * a.head_dim;
  };

  for (int v = 0; v < vectors; ++v)
    kernels_.pack_inputs(a.q + offset(v, a.q_stride), a.head_dim,
                         queries_.data() + int64_t{v} * query_stride);
  const LinearArgs scores{.x = queries_.data(),
                          .w = keys_.data(),
                          .y = scores_.data(),
                          .x_stride = query_stride,
                          .y_stride = padded,
                          .rows = vectors,
                          .in = a.head_dim,
                          .out = WholeRegisters(most_seen),
                          .w_type = StorageType::kBFloat16};
  kernels_.linear(scores, 0, vectors, 0, scores.out);

  const float scale = 1.0F / std::sqrt(static_cast<float>(a.head_dim));
  Reserve(totals_, vectors);
  for (int v = 0; v < vectors; ++v) {
    totals_[v] =
        kernels_.attention_weights(scores_.data() + int64_t{v} * padded, a.seen(first_row + v % rows), scale,
                                   padded, weights_.data() + int64_t{v} * weight_stride);
  }

  const PanelShape values{.out = a.head_dim, .in = kSegment};
  for (int s = 0; s < Segments(most_seen); ++s) {
    const LinearArgs sums{.x = weights_.data() + s * kSegment / 2,  // two bfloat16 in a float
                          .w = values_.data() + s * values.size(),
                          .y = sums_.data(),
                          .x_stride = weight_stride,
                          .y_stride = sum_stride,
                          .rows = vectors,
                          .in = kSegment,
                          .out = sum_stride,
                          .w_type = StorageType::kBFloat16,
                          .accumulate = s > 0};
    kernels_.linear(sums, 0, vectors, 0, sum_stride);
  }
  for (int v = 0; v < vectors; ++v) {
    const float inverse = 1.0F / totals_[v];
    const float* from = sums_.data() + int64_t{v} * sum_stride;
    float* to = a.out + offset(v, a.out_stride);
    for (int d = 0; d < a.head_dim; ++d) to[d] = from[d] * inverse;
  }
}

}  // namespace varserve::backend::cpu
