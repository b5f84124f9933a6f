// y = x W^T (+ bias) with products of pairs of bfloat16, weights in panels (weight_panels.h). Included only
// by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/for_each.h"
#include "server/backend/cpu/linear_start.h"
#include "server/backend/cpu/pair_products.h"
#include "server/backend/cpu/row_tiles.h"
#include "server/backend/cpu/weight_panels.h"
#include "server/backend/cpu/wide_lanes.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kPanelVecs = kPanelOutputs / kWide;
// kTileRows x kPanelVecs accumulators, the weights and an input fit the 32 registers.
inline constexpr int kTileRows = 8;
// All rows process this many pairs of inputs before the next ones, so that their weights stay in the L2
// cache.
inline constexpr int kPairBlock = 1024;
// How many bytes ahead a single tile prefetches weights. Into the L2 cache, which has more outstanding line
// fills than the L1 cache.
inline constexpr int kAhead = 16384;
inline constexpr int kLineBytes = 64;
inline constexpr int kStepBytes = kPanelStep * sizeof(uint16_t);

static void PackInputs(const float* x, int count, float* packed) {
  auto* out = reinterpret_cast<uint16_t*>(packed);
  int k = 0;
  for (; k < count; k += kWide) {
    const __m256i rounded = RoundToBFloat16(_mm512_maskz_loadu_ps(FirstLanes(count - k), x + k));
    std::memcpy(out + k, &rounded, sizeof(rounded));
  }
  if (k % (2 * kWide) != 0) std::memset(out + k, 0, kWide * sizeof(uint16_t));
}

struct TileArgs {
  const uint16_t* x;  // [rows, pairs, 2], rows x_stride apart
  int64_t x_stride;
  const uint16_t* w;  // [pairs, outputs, 2], pairs kPanelStep apart
  int pairs;
  const char* fetch;   // weights to prefetch with the first pair
  int64_t fetch_step;  // bytes from there to those of the next pair
  const float* start;  // [rows, outputs] initial values to which products are added, rows start_stride apart
  int64_t start_stride;
  float* y;  // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  __mmask16 valid[kPanelVecs];  // mask of outputs to read and write, by vector
};

// ROWS rows x VECS vectors of outputs. Each output is one chain of operations, pair by pair, for any tile and
// block, so its bits depend only on its row and its weights.
template <int ROWS, int VECS>
[[gnu::noinline]] static void Tile(const TileArgs& t) {
  __m512 acc[ROWS][VECS];
  ForEach<ROWS>([&]<int I>() {
    ForEach<VECS>([&]<int V>() {
      acc[I][V] = _mm512_maskz_loadu_ps(t.valid[V], t.start + I * t.start_stride + V * kWide);
    });
  });
  const uint16_t* w = t.w;
  const char* fetch = t.fetch;
  constexpr int kMost = TileInputs<ROWS>::kMostPairs;
  for (int first = 0; first < t.pairs; first += kMost) {
    const int pairs = t.pairs - first < kMost ? t.pairs - first : kMost;
    const TileInputs<ROWS> inputs(t.x + 2 * first, t.x_stride, pairs);
    for (int k = 0; k < pairs; ++k, w += kPanelStep, fetch += t.fetch_step) {
      decltype(PairsOf(__m512i())) weights[VECS];
      for (int v = 0; v < VECS; ++v) {
        __builtin_prefetch(fetch + v * kLineBytes, /*rw=*/0, /*locality=*/2);
        weights[v] = PairsOf(_mm512_loadu_si512(w + v * 2 * kWide));
      }
      for (int i = 0; i < ROWS; ++i) {
        const auto input = inputs.Pair(i, k);
        for (int v = 0; v < VECS; ++v) acc[i][v] = AddProducts(acc[i][v], input, weights[v]);
      }
    }
  }
  ForEach<ROWS>([&]<int I>() {
    ForEach<VECS>(
        [&]<int V>() { _mm512_mask_storeu_ps(t.y + I * t.y_stride + V * kWide, t.valid[V], acc[I][V]); });
  });
}

// All rows. A single tile prefetches the weights a little ahead. Of several,
// each prefetches its share of the next block, so that memory is read evenly while they compute.
template <int VECS>
static void Rows(TileArgs t, int rows) {
  static constexpr decltype(&Tile<1, VECS>) kTiles[kTileRows] = {Tile<1, VECS>, Tile<2, VECS>, Tile<3, VECS>,
                                                                 Tile<4, VECS>, Tile<5, VECS>, Tile<6, VECS>,
                                                                 Tile<7, VECS>, Tile<8, VECS>};
  const int tiles = (rows + kTileRows - 1) / kTileRows;
  t.fetch_step = kStepBytes / tiles;
  const int64_t share = t.pairs * t.fetch_step;
  t.fetch = reinterpret_cast<const char*>(t.w) + (tiles == 1 ? kAhead : tiles * share);
  ForRowTiles(rows, kTileRows, [&](int height) {
    kTiles[height - 1](t);
    t.x += height * t.x_stride;
    t.start += height * t.start_stride;
    t.y += height * t.y_stride;
    t.fetch += share;
  });
}

static void LinearBFloat16(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  static constexpr float kNothing[kPanelOutputs] = {};
  const PanelShape shape{a.out, a.in};
  const int rows = row_end - row_begin;
  const auto* x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride);
  float* y = a.y + row_begin * a.y_stride;
  if (a.accumulate && a.bias != nullptr) {
    for (int m = 0; m < rows; ++m) StartOutputs(a, y + m * a.y_stride, out_begin, out_end);
  }
  // Whole panels, and single vectors if the range begins or ends within a panel.
  for (int n = out_begin / kWide * kWide; n < out_end;) {
    const int in_panel = n % kPanelOutputs;
    const bool whole = in_panel == 0 && n >= out_begin && n + kPanelOutputs <= out_end;
    const auto* w = static_cast<const uint16_t*>(a.w) + n / kPanelOutputs * shape.panel_size() + 2 * in_panel;
    TileArgs t{.x = x,
               .x_stride = 2 * a.x_stride,
               .w = w,
               .pairs = 0,
               .fetch = nullptr,
               .fetch_step = 0,
               .start = y + n,
               .start_stride = a.y_stride,
               .y = y + n,
               .y_stride = a.y_stride,
               .valid = {0xffff, 0xffff, 0xffff}};
    if (n < out_begin) t.valid[0] &= static_cast<__mmask16>(0xffffU << (out_begin - n));
    if (!whole) t.valid[0] &= FirstLanes(out_end - n);
    for (int k = 0; k < shape.pairs(); k += kPairBlock) {
      TileArgs block = t;
      block.x += 2 * k;
      block.w += int64_t{k} * kPanelStep;
      block.pairs = shape.pairs() - k < kPairBlock ? shape.pairs() - k : kPairBlock;
      if (k == 0 && !a.accumulate) {
        block.start = a.bias != nullptr ? a.bias + n : kNothing;
        block.start_stride = 0;
      }
      (whole ? Rows<kPanelVecs> : Rows<1>)(block, rows);
    }
    n += whole ? kPanelOutputs : kWide;
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
