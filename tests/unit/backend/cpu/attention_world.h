// Random sequences in KV blocks and rows that attend to them, and a slow reference written from docs/var.md
// alone: loops in double precision over logical tokens.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "server/backend/cpu/head_suppression.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {

struct AttentionShape {
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 16;
  StorageType type = StorageType::kFloat32;
};

struct AttentionWorld {
  static constexpr int kBlockSize = 16;

  struct Sequence {
    int text_before = 0;
    int visual = 0;  // prefix: text_before + visual tokens, then empty slots up to a whole block
    int text_after = 0;
    int more_visual = 0;  // a second image inside the suffix
    std::vector<int32_t> blocks;
    std::vector<float> is_visual;  // per slot
    int empty_begin = 0;
    int empty_end = 0;
    int slots = 0;
  };

  AttentionWorld(const AttentionShape& s, std::mt19937& random, int num_sequences, int num_rows) : shape(s) {
    const auto pick = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    sequences.resize(num_sequences);
    int num_blocks = 3;
    for (Sequence& q : sequences) {
      q.text_before = pick(0, 5);
      q.visual = pick(0, 5) == 0 ? 0 : pick(1, 40);
      q.text_after = pick(1, 30);
      q.more_visual = q.visual > 0 && pick(0, 2) == 0 ? pick(1, 20) : 0;
      const int prefix = q.text_before + q.visual;
      q.empty_begin = prefix;
      q.empty_end = (prefix + kBlockSize - 1) / kBlockSize * kBlockSize;
      q.slots = q.empty_end + q.text_after + q.more_visual;
      num_blocks += (q.slots + kBlockSize - 1) / kBlockSize;
    }
    std::vector<int32_t> free(num_blocks);
    std::iota(free.begin(), free.end(), 0);
    std::shuffle(free.begin(), free.end(), random);
    for (Sequence& q : sequences) {
      for (int first = 0; first < q.slots; first += kBlockSize) {
        q.blocks.push_back(free.back());
        free.pop_back();
      }
      q.is_visual.assign(q.blocks.size() * kBlockSize, 0.0F);
      std::fill_n(q.is_visual.begin() + q.text_before, q.visual, 1.0F);
      std::fill_n(q.is_visual.begin() + q.empty_end + q.text_after / 2, q.more_visual, 1.0F);
    }

    std::normal_distribution<float> normal;
    const auto filled = [&](size_t n) {
      std::vector<float> values(n);
      for (float& value : values) value = normal(random);
      return values;
    };
    const size_t pool = static_cast<size_t>(num_blocks) * s.kv_heads * kBlockSize * s.head_dim;
    std::vector<float> k = filled(pool);
    std::vector<float> v = filled(pool);
    // What a slot without a token holds must not matter.
    for (const Sequence& one : sequences) {
      for (int slot = one.empty_begin; slot < one.empty_end; ++slot) {
        const int64_t block = one.blocks[slot / kBlockSize];
        const int64_t row = block * s.kv_heads * kBlockSize + slot % kBlockSize;
        for (int head = 0; head < s.kv_heads; ++head) {
          for (std::vector<float>* values : {&k, &v})
            std::fill_n(values->begin() + (row + head * kBlockSize) * s.head_dim, s.head_dim, NAN);
        }
      }
    }
    // A few slots whose keys are alike draw attention in every head, as sinks do.
    phi.assign(2 * num_blocks * kBlockSize, 1.0F);
    num_slots = num_blocks * kBlockSize;
    const bool any_sink = pick(0, 4) > 0;
    for (int slot = 0; slot < num_slots; ++slot) {
      const float value = any_sink && pick(0, 6) == 0 ? 25.0F : std::abs(normal(random));
      phi[slot] = value;
      phi[num_slots + slot] = pick(0, 9) == 0 ? 25.0F - value : value;  // the planes may differ
    }
    k_pool = Store(k, s.type);
    v_pool = Store(v, s.type);
    q = filled(static_cast<size_t>(num_rows) * s.heads * s.head_dim);
    for (float& value : q) value *= 2.0F;
    // Kernels may round queries to the type of bfloat16 keys.
    if (s.type == StorageType::kBFloat16) q = Store(q, s.type).values;

    for (int r = 0; r < num_rows; ++r) {
      AttentionRow row;
      row.sequence = r * num_sequences / num_rows;
      const Sequence& sequence = sequences[row.sequence];
      row.num_slots = pick(sequence.empty_end + 1, sequence.slots);
      const int kind = pick(0, 5);
      if (kind > 0) {
        row.first_layer = pick(0, 3);
        row.last_layer = 3;
      }
      row.authors_code = pick(0, 2) == 0;
      row.sink_slots = row.authors_code ? sequence.empty_end + sequence.text_after / 2 : 1 << 30;
      row.tau = pick(0, 9) == 0 ? 0.0F : 20.0F;
      row.rho = 0.1F * static_cast<float>(pick(0, 10));
      row.p = kind == 1 ? 0.0F : 0.1F * static_cast<float>(pick(0, 10));
      row.min_visual_attention = 0.1F * static_cast<float>(pick(0, 4));
      row.map = r;
      rows.push_back(row);
    }
  }

  struct Output {
    std::vector<float> out;     // [R, H, D]
    std::vector<RowSums> sums;  // [R, Hkv]
    std::vector<float> maps;    // [R, Hkv, 2, num_slots of the longest sequence]
    int map_slots = 0;
  };

  int MapSlots() const {
    size_t longest = 0;
    for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.is_visual.size());
    return static_cast<int>(longest);
  }

  Output Run(const CpuKernels& kernels, int layer) const {
    Output result;
    result.map_slots = MapSlots();
    result.out.resize(q.size());
    result.sums.resize(rows.size() * shape.kv_heads);
    result.maps.resize(rows.size() * shape.kv_heads * 2 * result.map_slots);
    std::vector<AttentionSequence> views;
    for (const Sequence& sequence : sequences) {
      views.push_back(
          {sequence.blocks.data(), sequence.is_visual.data(), sequence.empty_begin, sequence.empty_end});
    }
    const std::vector<uint8_t> flags(rows.size(), 1);
    AttentionArgs args{.q = q.data(),
                       .q_stride = shape.heads * shape.head_dim,
                       .k_pool = k_pool.bytes.data(),
                       .v_pool = v_pool.bytes.data(),
                       .phi = phi.data(),
                       .phi_plane_stride = num_slots,
                       .kv_type = shape.type,
                       .heads = shape.heads,
                       .kv_heads = shape.kv_heads,
                       .head_dim = shape.head_dim,
                       .block_size = kBlockSize,
                       .num_rows = static_cast<int>(rows.size()),
                       .layer = layer,
                       .scale = Scale(),
                       .rows = rows.data(),
                       .sequences = views.data(),
                       .out = result.out.data(),
                       .out_stride = shape.heads * shape.head_dim,
                       .sums = result.sums.data(),
                       .maps = result.maps.data(),
                       .map_flags = flags.data(),
                       .map_slots = result.map_slots};
    std::vector<HeadLook> looks(rows.size() * shape.heads);
    args.looks = looks.data();
    const auto scratch = std::make_unique<float[]>(AttentionScratch(args, result.map_slots));
    const int pieces = static_cast<int>(rows.size()) * shape.kv_heads;
    for (int piece = 0; piece < pieces; piece += 5)
      kernels.attention(args, scratch.get(), piece, std::min(piece + 5, pieces));
    SuppressHeads(args);
    return result;
  }

  float Scale() const { return 1.0F / std::sqrt(static_cast<float>(shape.head_dim)); }

  struct HeadTruth {
    std::vector<double> out;     // [D]
    std::vector<double> before;  // attention per slot
    std::vector<double> after;
    bool image_centric = false;
    double omega = 0.0;
    double visual_before = 0.0;
    double margin = 1e9;  // distance of the head test from its threshold
  };

  // The slots that a row sees.
  std::vector<int> Tokens(int r) const {
    const Sequence& sequence = sequences[rows[r].sequence];
    std::vector<int> tokens(rows[r].num_slots);
    std::iota(tokens.begin(), tokens.end(), 0);
    std::erase_if(tokens, [&](int s) { return s >= sequence.empty_begin && s < sequence.empty_end; });
    return tokens;
  }

  // Queries times keys divided by the square root of the head size, per slot; of Tokens(r) only.
  std::vector<double> Scores(int r, int head) const {
    std::vector<double> scores(sequences[rows[r].sequence].is_visual.size());
    const float* query = &q[static_cast<size_t>(r * shape.heads + head) * shape.head_dim];
    for (const int slot : Tokens(r)) {
      for (int d = 0; d < shape.head_dim; ++d)
        scores[slot] += static_cast<double>(query[d]) * k_pool.values[PoolIndex(r, head, slot, d)];
      scores[slot] /= std::sqrt(static_cast<double>(shape.head_dim));
    }
    return scores;
  }

  // Attention per slot.
  std::vector<double> Softmax(int r, const std::vector<double>& scores) const {
    std::vector<double> weights(scores.size());
    double largest = -1e300;
    double total = 0.0;
    for (const int slot : Tokens(r)) largest = std::max(largest, scores[slot]);
    for (const int slot : Tokens(r)) total += weights[slot] = std::exp(scores[slot] - largest);
    for (double& weight : weights) weight /= total;
    return weights;
  }

  // sum of weights times values => [D]
  std::vector<double> Weighted(int r, int head, const std::vector<double>& weights) const {
    std::vector<double> sums(shape.head_dim);
    for (const int slot : Tokens(r)) {
      for (int d = 0; d < shape.head_dim; ++d)
        sums[d] += weights[slot] * v_pool.values[PoolIndex(r, head, slot, d)];
    }
    return sums;
  }

  // Of a row that redistributes, or of one that is not changed in the layer.
  HeadTruth Truth(int r, int head, int layer) const {
    const AttentionRow& row = rows[r];
    const Sequence& sequence = sequences[row.sequence];
    HeadTruth truth;
    const std::vector<int> tokens = Tokens(r);
    truth.before = truth.after = Softmax(r, Scores(r, head));
    double m_vs = 0.0;
    double m_vn = 0.0;
    double m_ts = 0.0;
    double n_v = 0.0;
    bool has_visual_sink = false;
    const auto sink = [&](int slot) {
      const int64_t index =
          static_cast<int64_t>(sequence.blocks[slot / kBlockSize]) * kBlockSize + slot % kBlockSize;
      return phi[(row.authors_code ? num_slots : 0) + index] >= row.tau && slot < row.sink_slots;
    };
    for (const int slot : tokens) {
      const bool visual = sequence.is_visual[slot] > 0.0F;
      n_v += visual ? 1.0 : 0.0;
      has_visual_sink |= visual && sink(slot);
      (visual ? (sink(slot) ? m_vs : m_vn) : m_ts) += visual || sink(slot) ? truth.before[slot] : 0.0;
    }
    const double m_v = m_vs + m_vn;
    truth.visual_before = m_v;
    if (layer >= row.first_layer && layer <= row.last_layer) {
      const double ratio =
          row.authors_code ? 1.0 - m_vs / (m_v + n_v * 1e-6) : (m_v > 0.0 ? m_vn / m_v : 0.0);
      truth.image_centric = m_v >= row.min_visual_attention && m_vn > 0.0 && ratio >= row.rho &&
                            (!row.authors_code || has_visual_sink);
      truth.margin = std::min(std::abs(m_v - row.min_visual_attention), std::abs(ratio - row.rho));
    }
    if (truth.image_centric) {
      truth.omega = row.p * (m_vs + m_ts);
      for (const int slot : tokens) {
        if (sink(slot)) {
          truth.after[slot] *= 1.0 - row.p;
        } else if (sequence.is_visual[slot] > 0.0F) {
          truth.after[slot] *= 1.0 + truth.omega / m_vn;
        }
      }
    }
    truth.out = Weighted(r, head, truth.after);
    return truth;
  }

  size_t PoolIndex(int r, int head, int slot, int d) const {
    const int64_t block = sequences[rows[r].sequence].blocks[slot / kBlockSize];
    const int kv_head = head / (shape.heads / shape.kv_heads);
    return static_cast<size_t>(
        ((block * shape.kv_heads + kv_head) * kBlockSize + slot % kBlockSize) * shape.head_dim + d);
  }

  AttentionShape shape;
  std::vector<Sequence> sequences;
  std::vector<AttentionRow> rows;
  Stored k_pool;
  Stored v_pool;
  std::vector<float> phi;  // [2, num_slots]
  std::vector<float> q;
  int num_slots = 0;
};

}  // namespace varserve::backend::cpu
