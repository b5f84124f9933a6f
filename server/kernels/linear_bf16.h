// y = x W^T (+ bias) by instructions that multiply pairs of bfloat16, weights in panels (weight_panels.h).
// Included only by isa_avx512_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/kernels/cpu_kernels.h"
#include "server/kernels/linear_start.h"
#include "server/kernels/weight_panels.h"

namespace varserve::kernels::VARSERVE_ISA {

inline constexpr int kWide = 16;  // lanes of a vector of outputs
inline constexpr int kPanelVecs = kPanelOutputs / kWide;
inline constexpr int kPanelStep = 2 * kPanelOutputs;  // weights from one pair of inputs to the next
// kTileRows x kPanelVecs accumulators, the weights and an input fit the 32 registers.
inline constexpr int kTileRows = 8;
// Pairs of inputs that all rows pass over before the next ones: their weights stay in the L2 cache.
inline constexpr int kPairBlock = 1024;
// Weights are fetched into the L2 cache, which waits for more lines at a time than the L1 cache does, this
// far ahead.
inline constexpr int kAhead = 8192;

static void PackInputs(const float* x, int count, float* packed) {
  auto* out = reinterpret_cast<uint16_t*>(packed);
  for (int k = 0; k < count; k += kWide) {
    const __mmask16 mask = count - k >= kWide ? 0xffff : static_cast<__mmask16>((1U << (count - k)) - 1);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, x + k));
    std::memcpy(out + k, &rounded, sizeof(rounded));
  }
}

// Adds ROWS rows x VECS vectors of outputs over `pairs` pairs of inputs to y. Each output is one chain of
// operations, from pair to pair, whatever the tile and the block, so its bits depend on its row and its
// weights alone. Only outputs in `valid` are read and written.
template <int ROWS, int VECS>
[[gnu::noinline]] static void Tile(const uint16_t* x, int64_t x_stride, const uint16_t* w, int pairs,
                                   int64_t ahead, float* y, int64_t y_stride, const __mmask16* valid) {
  __m512 acc[ROWS][VECS];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < VECS; ++v) acc[i][v] = _mm512_maskz_loadu_ps(valid[v], y + i * y_stride + v * kWide);
  }
  for (int k = 0; k < pairs; ++k, w += kPanelStep) {
    __m512bh weights[VECS];
    for (int v = 0; v < VECS; ++v) {
      __builtin_prefetch(w + ahead + v * 2 * kWide, /*rw=*/0, /*locality=*/2);
      weights[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + v * 2 * kWide));
    }
    for (int i = 0; i < ROWS; ++i) {
      int32_t pair;
      std::memcpy(&pair, x + i * x_stride + 2 * k, sizeof(pair));
      const auto input = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < VECS; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], input, weights[v]);
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < VECS; ++v) _mm512_mask_storeu_ps(y + i * y_stride + v * kWide, valid[v], acc[i][v]);
  }
}

// All rows, in tiles of nearly equal height. The first pass fetches what comes `kAhead` later.
template <int VECS>
static void Rows(const uint16_t* x, int64_t x_stride, int rows, const uint16_t* w, int pairs, float* y,
                 int64_t y_stride, const __mmask16* valid) {
  static constexpr decltype(&Tile<1, VECS>) kTiles[kTileRows] = {Tile<1, VECS>, Tile<2, VECS>, Tile<3, VECS>,
                                                                 Tile<4, VECS>, Tile<5, VECS>, Tile<6, VECS>,
                                                                 Tile<7, VECS>, Tile<8, VECS>};
  int64_t ahead = kAhead;
  for (int passes = (rows + kTileRows - 1) / kTileRows; passes > 0; --passes) {
    const int height = (rows + passes - 1) / passes;
    kTiles[height - 1](x, x_stride, w, pairs, ahead, y, y_stride, valid);
    rows -= height;
    x += height * x_stride;
    y += height * y_stride;
    ahead = 0;
  }
}

static void LinearBFloat16(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  const PanelShape shape{a.out, a.in};
  const auto* x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride);
  const int64_t x_stride = 2 * a.x_stride;
  const int rows = row_end - row_begin;
  float* y = a.y + row_begin * a.y_stride;
  for (int m = 0; m < rows; ++m) StartOutputs(a, y + m * a.y_stride, out_begin, out_end);
  // Whole panels, and vectors where the range begins or ends within a panel.
  for (int n = out_begin / kWide * kWide; n < out_end;) {
    const int in_panel = n % kPanelOutputs;
    const bool whole = in_panel == 0 && n >= out_begin && n + kPanelOutputs <= out_end;
    __mmask16 valid[kPanelVecs] = {0xffff, 0xffff, 0xffff};
    if (!whole) {
      if (n < out_begin) valid[0] &= static_cast<__mmask16>(0xffffU << (out_begin - n));
      if (n + kWide > out_end) valid[0] &= static_cast<__mmask16>((1U << (out_end - n)) - 1);
    }
    const auto* w = static_cast<const uint16_t*>(a.w) + n / kPanelOutputs * shape.panel_size() + 2 * in_panel;
    for (int k = 0; k < shape.pairs(); k += kPairBlock) {
      const int pairs = shape.pairs() - k < kPairBlock ? shape.pairs() - k : kPairBlock;
      (whole ? Rows<kPanelVecs> : Rows<1>)(x + 2 * k, x_stride, rows, w + int64_t{k} * kPanelStep, pairs,
                                           y + n, a.y_stride, valid);
    }
    n += whole ? kPanelOutputs : kWide;
  }
}

}  // namespace varserve::kernels::VARSERVE_ISA
