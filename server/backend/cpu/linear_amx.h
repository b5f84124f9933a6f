// y = x W^T (+ bias) with tiles of bfloat16 (AMX), weights in panels (weight_panels.h). Included only by
// isa_amx_bf16.cc, and by a test with emulated tiles.
#pragma once

#include <cstdint>
#include <cstring>

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/for_each.h"
#include "server/backend/cpu/linear_start.h"
#include "server/backend/cpu/tile_config.h"
#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kTileOutputs = kTileBytes / sizeof(float);
inline constexpr int kTilePairs = kTileBytes / (2 * sizeof(uint16_t));
inline constexpr int kPanelTiles = kPanelOutputs / kTileOutputs;
// All rows process this many pairs of inputs before the next ones, so that their weights stay in the L2
// cache.
inline constexpr int kPairBlock = 1024;
inline constexpr int kAhead = 8192;  // how many weights ahead to fetch, into the L2 cache
// Tiles 0 to 2 sum a panel's outputs for the first rows, 3 to 5 for the next ones.
inline constexpr int kInputTile = 6;
inline constexpr int kWeightTile = 7;
static_assert(2 * kPanelTiles == kInputTile && kPairBlock % kTilePairs == 0);

// This thread's tiles, configured when they are first needed and given back at the end: other libraries use
// them too.
template <typename TILES>
class TileRows {
 public:
  TileRows() = default;
  TileRows(const TileRows&) = delete;
  TileRows& operator=(const TileRows&) = delete;
  ~TileRows() {
    if (rows_ > 0) TILES::Release();
  }
  // Inputs and sums have this many rows.
  void Set(int rows) {
    if (rows == rows_) return;
    TileConfig config;
    for (int tile = 0; tile < kTiles; ++tile) {
      config.row_bytes[tile] = kTileBytes;
      config.rows[tile] = static_cast<uint8_t>(tile == kWeightTile ? kTilePairs : rows);
    }
    TILES::Configure(config);
    rows_ = rows;
  }

 private:
  int rows_ = 0;
};

struct TileArgs {
  const uint16_t* x;  // [rows, pairs, 2], rows x_stride apart, with zeros up to whole tiles
  int64_t x_stride;
  const uint16_t* w;     // [pairs, outputs, 2], pairs kPanelStep apart
  int pairs;             // in whole tiles
  const uint16_t* rest;  // weights of the pairs after these with zeros up to a whole tile, or null
  int64_t ahead;         // how many weights ahead to fetch; 0: none
  const float* start;  // [rows, outputs] initial values to which products are added, rows start_stride apart
  int64_t start_stride;
  float* y;  // [rows, outputs], rows y_stride apart
  int64_t y_stride;
};

// HEIGHT times the configured rows, WIDTH times 16 outputs. Each output is one chain of operations, tile by
// tile of inputs, for any shape and block, so its bits depend only on its row and its weights.
template <typename TILES, int HEIGHT, int WIDTH>
[[gnu::noinline]] static void Products(const TileArgs& t) {
  ForEach<HEIGHT>([&]<int H>() {
    ForEach<WIDTH>([&]<int V>() {
      TILES::template Load<H * kPanelTiles + V>(t.start + H * kTileRows * t.start_stride + V * kTileOutputs,
                                                t.start_stride * sizeof(float));
    });
  });
  const auto add = [&](const uint16_t* x, const uint16_t* w) {
    const auto load = [&]<int V>() {
      TILES::template Load<kWeightTile>(w + V * 2 * kTileOutputs, kPanelStep * sizeof(uint16_t));
    };
    TILES::template Load<kInputTile>(x, t.x_stride * sizeof(uint16_t));
    ForEach<WIDTH>([&]<int V>() {
      load.template operator()<V>();
      TILES::template AddProducts<V, kInputTile, kWeightTile>();
    });
    if constexpr (HEIGHT == 2) {
      TILES::template Load<kInputTile>(x + kTileRows * t.x_stride, t.x_stride * sizeof(uint16_t));
      ForEach<WIDTH>([&]<int I>() {  // backwards, since the last weights are still there
        constexpr int V = WIDTH - 1 - I;
        if constexpr (I > 0) load.template operator()<V>();
        TILES::template AddProducts<kPanelTiles + V, kInputTile, kWeightTile>();
      });
    }
  };
  const uint16_t* w = t.w;
  for (int k = 0; k < t.pairs; k += kTilePairs, w += int64_t{kTilePairs} * kPanelStep) {
    for (int i = 0; t.ahead > 0 && i < kTilePairs; ++i) {
      for (int v = 0; v < WIDTH; ++v)
        __builtin_prefetch(w + t.ahead + i * kPanelStep + v * 2 * kTileOutputs, /*rw=*/0, /*locality=*/2);
    }
    add(t.x + int64_t{2} * k, w);
  }
  if (t.rest != nullptr) add(t.x + int64_t{2} * t.pairs, t.rest);
  ForEach<HEIGHT>([&]<int H>() {
    ForEach<WIDTH>([&]<int V>() {
      TILES::template Store<H * kPanelTiles + V>(t.y + H * kTileRows * t.y_stride + V * kTileOutputs,
                                                 t.y_stride * sizeof(float));
    });
  });
}

// All rows, 32 at a time while there are as many. The first ones prefetch the weights that come next.
template <int WIDTH, typename TILES>
static void Rows(TileRows<TILES>& tiles, TileArgs t, int rows) {
  while (rows > 0) {
    const int height = rows < kTileRows ? rows : kTileRows;
    tiles.Set(height);
    const bool two = rows >= 2 * kTileRows;
    (two ? Products<TILES, 2, WIDTH> : Products<TILES, 1, WIDTH>)(t);
    const int done = two ? 2 * kTileRows : height;
    rows -= done;
    t.x += done * t.x_stride;
    t.start += done * t.start_stride;
    t.y += done * t.y_stride;
    t.ahead = 0;
  }
}

// Outputs [first, last) of the 16, by way of memory of their own: tiles read and write all 16.
template <typename TILES>
static void PartOfOutputs(TileRows<TILES>& tiles, TileArgs t, int rows, int first, int last) {
  float part[2 * kTileRows * kTileOutputs] = {};
  TileArgs own = t;
  own.y = part;
  own.y_stride = kTileOutputs;
  own.start = part;
  own.start_stride = kTileOutputs;
  const size_t bytes = (last - first) * sizeof(float);
  for (int height; rows > 0; rows -= height) {
    height = rows < 2 * kTileRows ? rows : 2 * kTileRows;
    for (int i = 0; i < height; ++i)
      std::memcpy(part + i * kTileOutputs + first, t.start + i * t.start_stride + first, bytes);
    Rows<1>(tiles, own, height);
    for (int i = 0; i < height; ++i)
      std::memcpy(t.y + i * t.y_stride + first, part + i * kTileOutputs + first, bytes);
    own.x += height * t.x_stride;
    own.ahead = 0;
    t.start += height * t.start_stride;
    t.y += height * t.y_stride;
  }
}

template <typename TILES>
static void LinearTiles(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  static constexpr float kNothing[kPanelOutputs] = {};
  const PanelShape shape{a.out, a.in};
  const int rows = row_end - row_begin;
  const int rest = shape.pairs() % kTilePairs;
  uint16_t padded[kTilePairs * kPanelStep] = {};  // the last weights of a panel
  float* y = a.y + row_begin * a.y_stride;
  if (a.accumulate && a.bias != nullptr) {
    for (int m = 0; m < rows; ++m) StartOutputs(a, y + m * a.y_stride, out_begin, out_end);
  }
  TileRows<TILES> tiles;
  // Whole panels, and single tiles if the range begins or ends within a panel.
  for (int n = out_begin / kTileOutputs * kTileOutputs; n < out_end;) {
    const int in_panel = n % kPanelOutputs;
    const bool whole = in_panel == 0 && n >= out_begin && n + kPanelOutputs <= out_end;
    const int first = n < out_begin ? out_begin - n : 0;
    const int last = out_end - n < kTileOutputs ? out_end - n : kTileOutputs;
    const auto* panel = static_cast<const uint16_t*>(a.w) + n / kPanelOutputs * shape.panel_size();
    if (rest > 0) {
      std::memcpy(padded, panel + int64_t{shape.pairs() - rest} * kPanelStep,
                  rest * kPanelStep * sizeof(uint16_t));
    }
    for (int k = 0; k < shape.pairs(); k += kPairBlock) {
      const bool ends = shape.pairs() - k <= kPairBlock;
      const bool starts = k == 0 && !a.accumulate;
      const float* initial = a.bias != nullptr ? a.bias + n : kNothing;
      const TileArgs block{
          .x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride) + int64_t{2} * k,
          .x_stride = 2 * a.x_stride,
          .w = panel + int64_t{k} * kPanelStep + 2 * in_panel,
          .pairs = ends ? shape.pairs() - k - rest : kPairBlock,
          .rest = ends && rest > 0 ? padded + 2 * in_panel : nullptr,
          .ahead = kAhead,
          .start = starts ? initial : y + n,
          .start_stride = starts ? 0 : a.y_stride,
          .y = y + n,
          .y_stride = a.y_stride};
      if (whole) {
        Rows<kPanelTiles>(tiles, block, rows);
      } else if (first == 0 && last == kTileOutputs) {
        Rows<1>(tiles, block, rows);
      } else {
        PartOfOutputs(tiles, block, rows, first, last);
      }
    }
    n += whole ? kPanelOutputs : kTileOutputs;
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
