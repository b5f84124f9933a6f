// y = x W^T (+ bias) for weights stored row by row, [N, K]: both operands run along K, so vectors run along K too and
// nothing needs repacking. Included only by isa_*.cc.
//
// Each output is one chain of operations: eight lanes over kKBlock inputs, their sum, added to the output, next block.
// Every path below follows it, whatever the tile, so an output's bits depend on its row and its weights alone.
#pragma once

#include "server/kernels/cpu_kernels.h"
#include "server/kernels/vec.h"

namespace varserve::kernels::VARSERVE_ISA {

inline constexpr int kKBlock = 1024;  // inputs per partial sum
inline constexpr int kNBlock = 48;    // weight rows widened at once: kNBlock * kKBlock floats stay in the L2 cache
inline constexpr int kFewRows = 16;   // up to so many rows, widening in registers is cheaper than into a buffer

// Adds rows x weights over inputs [0, count), count <= kKBlock, to a ROWS x OUTS tile of y.
template <int ROWS, int OUTS, typename W>
VARSERVE_INLINE void Tile(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int count, float* y,
                          int64_t y_stride) {
  Vec acc[ROWS][OUTS] = {};
  int k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    Vec weight[OUTS];
    for (int j = 0; j < OUTS; ++j) weight[j] = Load(w + j * w_stride + k);
    for (int i = 0; i < ROWS; ++i) {
      const Vec input = Load(x + i * x_stride + k);
      for (int j = 0; j < OUTS; ++j) acc[i][j] += input * weight[j];
    }
  }
  if (const int rest = count - k; rest > 0) {
    for (int i = 0; i < ROWS; ++i) {
      const Vec input = LoadPart(x + i * x_stride + k, rest);
      for (int j = 0; j < OUTS; ++j) acc[i][j] += input * LoadPart(w + j * w_stride + k, rest);
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int j = 0; j < OUTS; ++j) y[i * y_stride + j] += Sum(acc[i][j]);
  }
}

// Any number of rows and outputs out of tiles; ROWS x OUTS accumulators fill the registers.
template <int ROWS, int OUTS, typename W>
VARSERVE_INLINE void Rows(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int outs, int count, float* y,
                          int64_t y_stride) {
  int n = 0;
  for (; n + OUTS <= outs; n += OUTS) {
    Tile<ROWS, OUTS>(x, x_stride, w + n * w_stride, w_stride, count, y + n, y_stride);
  }
  for (; n < outs; ++n) Tile<ROWS, 1>(x, x_stride, w + n * w_stride, w_stride, count, y + n, y_stride);
}

template <typename W>
VARSERVE_INLINE void Block(const float* x, int64_t x_stride, int rows, const W* w, int64_t w_stride, int outs, int count,
                           float* y, int64_t y_stride) {
  int m = 0;
  for (; m + 4 <= rows; m += 4) Rows<4, 3>(x + m * x_stride, x_stride, w, w_stride, outs, count, y + m * y_stride, y_stride);
  const float* last_x = x + m * x_stride;
  float* last_y = y + m * y_stride;
  switch (rows - m) {
    case 3: return Rows<3, 4>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    case 2: return Rows<2, 4>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    case 1: return Rows<1, 4>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    default: return;
  }
}

template <typename W>
static void LinearTyped(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  const W* w = static_cast<const W*>(a.w);
  const int rows = row_end - row_begin;
  const float* x = a.x + row_begin * a.x_stride;
  float* y = a.y + row_begin * a.y_stride;
  for (int m = 0; m < rows; ++m) {
    float* out = y + m * a.y_stride;
    for (int n = out_begin; n < out_end; ++n) {
      out[n] = (a.accumulate ? out[n] : 0.0F) + (a.bias != nullptr ? a.bias[n] : 0.0F);
    }
  }
  if (rows <= kFewRows) {
    // Few outputs at a time over all inputs: the weights stream through once, in long runs.
    constexpr int kOuts = 12;
    for (int n = out_begin; n < out_end; n += kOuts) {
      const int outs = Min(kOuts, out_end - n);
      for (int k = 0; k < a.in; k += kKBlock) {
        Block(x + k, a.x_stride, rows, w + static_cast<int64_t>(n) * a.in + k, a.in, outs, Min(kKBlock, a.in - k), y + n,
              a.y_stride);
      }
    }
    return;
  }
  alignas(32) float widened[kNBlock * kKBlock];
  for (int n = out_begin; n < out_end; n += kNBlock) {
    const int outs = Min(kNBlock, out_end - n);
    for (int k = 0; k < a.in; k += kKBlock) {
      const int count = Min(kKBlock, a.in - k);
      const W* source = w + static_cast<int64_t>(n) * a.in + k;
      if constexpr (sizeof(W) == sizeof(float)) {
        Block(x + k, a.x_stride, rows, source, a.in, outs, count, y + n, a.y_stride);
      } else {
        for (int j = 0; j < outs; ++j) {
          const W* from = source + static_cast<int64_t>(j) * a.in;
          float* to = widened + j * kKBlock;
          int i = 0;
          for (; i + kLanes <= count; i += kLanes) Store(to + i, Load(from + i));
          if (i < count) StorePart(to + i, LoadPart(from + i, count - i), count - i);
        }
        Block(x + k, a.x_stride, rows, static_cast<const float*>(widened), kKBlock, outs, count, y + n, a.y_stride);
      }
    }
  }
}

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  switch (a.w_type) {
    case StorageType::kFloat32: return LinearTyped<float>(a, row_begin, row_end, out_begin, out_end);
    case StorageType::kBFloat16: return LinearTyped<BFloat16>(a, row_begin, row_end, out_begin, out_end);
    case StorageType::kFloat16: return LinearTyped<Float16>(a, row_begin, row_end, out_begin, out_end);
  }
}

}  // namespace varserve::kernels::VARSERVE_ISA
