// Linear layers with quantized weights and products of pairs of bfloat16. Integers are widened to bfloat16 in
// registers; those of 8 bits, for many rows, in the L2 cache. Included only by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

#include <utility>

#include "server/backend/cpu/for_panels.h"
#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/row_tiles.h"
#include "server/backend/cpu/widen_bf16.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Widening 8 bits takes longer than 4: for more rows than two tiles have, it is done once for all.
inline constexpr int kMostRows8 = 2 * Codes8::kMostRows;
static_assert(TileInputs<kTileRows>::kMostPairs >= kMostGroup / 2);

// Weights that are bfloat16 already: a pair of inputs is a step.
class Widened {
 public:
  static constexpr int kPairs = 1;
  static constexpr int kMostRows = kTileRows;
  explicit Widened(const uint8_t* /*zeros*/) {}
  void Widen(const uint8_t* weights, int /*v*/, __m512i pairs[kPairs]) const {
    pairs[0] = _mm512_loadu_si512(weights);
  }
};

struct GroupTileArgs {
  const uint16_t* x;  // [rows, groups, pairs, 2], rows x_stride apart
  int64_t x_stride;
  const uint8_t* w;  // steps of a panel's groups, one group after the other
  int groups;
  int pairs;             // of a group
  const float* scales;   // [groups, kPanelOutputs]
  const uint8_t* zeros;  // [groups, kPanelOutputs] or null
  float* y;              // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  __mmask16 valid[kPanelVecs];  // mask of outputs to read and write, by vector
};

// y += scale * (x w), group by group. Each output is one chain of operations in a group, pair by pair, and
// groups follow each other, for any number of rows and any Codes.
template <typename Codes, int ROWS>
[[gnu::noinline]] static void GroupTile(const GroupTileArgs& t) {
  __m512 sums[ROWS][kPanelVecs];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < kPanelVecs; ++v)
      sums[i][v] = _mm512_maskz_loadu_ps(t.valid[v], t.y + i * t.y_stride + v * kWide);
  }
  const uint16_t* x = t.x;
  const uint8_t* w = t.w;
  for (int64_t g = 0; g < t.groups; ++g, x += 2 * t.pairs) {
    const Codes codes(t.zeros != nullptr ? t.zeros + g * kPanelOutputs : nullptr);
    __m512 acc[ROWS][kPanelVecs];
    for (int i = 0; i < ROWS; ++i) {
      for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_setzero_ps();
    }
    const TileInputs<ROWS> inputs(x, t.x_stride, t.pairs);
    for (int k = 0; k < t.pairs; k += Codes::kPairs, w += kCodeStepBytes) {
      for (int v = 0; v < kPanelVecs; ++v) {
        __m512i weights[Codes::kPairs];
        codes.Widen(w + v * kVectorBytes, v, weights);
        for (int p = 0; p < Codes::kPairs; ++p) {
          for (int i = 0; i < ROWS; ++i)
            acc[i][v] = AddProducts(acc[i][v], inputs.Pair(i, k + p), PairsOf(weights[p]));
        }
      }
    }
    for (int v = 0; v < kPanelVecs; ++v) {
      const __m512 scale = _mm512_loadu_ps(t.scales + g * kPanelOutputs + v * kWide);
      for (int i = 0; i < ROWS; ++i) sums[i][v] = _mm512_fmadd_ps(acc[i][v], scale, sums[i][v]);
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < kPanelVecs; ++v)
      _mm512_mask_storeu_ps(t.y + i * t.y_stride + v * kWide, t.valid[v], sums[i][v]);
  }
}

// All rows.
template <typename Codes, int... LESS_ONE>
static void TileRows(GroupTileArgs t, int rows, std::integer_sequence<int, LESS_ONE...> /*heights*/) {
  static constexpr decltype(&GroupTile<Codes, 1>) kTiles[] = {GroupTile<Codes, LESS_ONE + 1>...};
  ForRowTiles(rows, Codes::kMostRows, [&](int height) {
    kTiles[height - 1](t);
    t.x += height * t.x_stride;
    t.y += height * t.y_stride;
  });
}
template <typename Codes>
static void TileRows(const GroupTileArgs& t, int rows) {
  TileRows<Codes>(t, rows, std::make_integer_sequence<int, Codes::kMostRows>());
}

// t: of a whole panel. All rows use a block of its groups before the next one.
static void WidenForAllRows(const QuantizedWeights& w, GroupTileArgs t, int panel, int rows) {
  alignas(kVectorBytes) uint16_t widened[kPairBlock * kPanelStep];
  const int groups = w.shape.groups();
  const int most = kPairBlock / t.pairs;
  t.w = reinterpret_cast<const uint8_t*>(widened);
  for (int first = 0; first < groups; first += t.groups) {
    t.groups = groups - first < most ? groups - first : most;
    for (int g = 0; g < t.groups; ++g) WidenGroup(w, panel, first + g, widened + g * t.pairs * kPanelStep);
    TileRows<Widened>(t, rows);
    t.x += int64_t{t.groups} * w.shape.group;
    t.scales += t.groups * kPanelOutputs;
  }
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  const QuantizedShape& shape = a.w.shape;
  const int rows = row_end - row_begin;
  ForPanels(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int outputs) {
    const int64_t first_scale = shape.first_scale(panel, 0);
    GroupTileArgs t{.x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride),
                    .x_stride = 2 * a.x_stride,
                    .w = a.w.codes + panel * shape.panel_bytes(),
                    .groups = shape.groups(),
                    .pairs = shape.group / 2,
                    .scales = a.w.scales + first_scale,
                    .zeros = a.w.zeros != nullptr ? a.w.zeros + first_scale : nullptr,
                    .y = a.y + row_begin * a.y_stride + int64_t{panel} * kPanelOutputs,
                    .y_stride = a.y_stride,
                    .valid = {}};
    for (int v = 0; v < kPanelVecs; ++v) t.valid[v] = FirstLanes(outputs - v * kWide);
    if (shape.bits == 8) {
      if (rows > kMostRows8) return WidenForAllRows(a.w, t, panel, rows);
      return TileRows<Codes8>(t, rows);
    }
    if (a.w.zeros != nullptr) return TileRows<Codes4WithZeros>(t, rows);
    TileRows<Codes4>(t, rows);
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
