// y = x W^T (+ bias) for weights stored row by row, [N, K]. Both operands run along K, so vectors do too, and
// nothing needs repacking. Included only by isa_*.cc.
//
// Each output is one chain of operations: for each block of inputs (KBlock), eight lanes are accumulated, the
// lanes are added up, and the sum is added to the output. Every path below follows this order for any tile,
// so an output's bits depend only on its row and its weights.
//
// Inputs are taken in steps of kStep. With bfloat16 weights a step is a vector of sixteen: a shift converts
// its even weights to floats, a mask its odd ones, with one instruction each. The inputs have the same order
// (PackInputs).
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_start.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kMaxKBlock = 1024;  // inputs per partial sum; four rows of them stay in the L1 cache
// Number of weight rows widened at once, and the distance between them: they stay in the L2 cache, in
// different cache sets.
inline constexpr int kNBlock = 48;
inline constexpr int kWidenedStride = kMaxKBlock + 16;
// Up to this many rows, widening in registers is cheaper than into a buffer.
inline constexpr int kFewRows = 16;

// Equal blocks, as few as possible, because each ends with a sum over lanes. Whole cache lines of weights.
VARSERVE_INLINE int KBlock(int in) {
  constexpr int kLine = 32;
  const int blocks = (in + kMaxKBlock - 1) / kMaxKBlock;
  return ((in + blocks - 1) / blocks + kLine - 1) / kLine * kLine;
}

// A step's weights as floats, part by part.
template <typename W>
struct Step {
  static constexpr int kInputs = kLanes;
  VARSERVE_INLINE Vec Part(const W* w, int /*part*/) { return Load(w); }
};
template <>
struct Step<BFloat16> {
  static constexpr int kInputs = 2 * kLanes;
  VARSERVE_INLINE Vec Part(const BFloat16* w, int part) {
    UintVec pairs;
    std::memcpy(&pairs, w, sizeof(pairs));
    return AsFloat(part == 0 ? pairs << 16 : pairs & 0xffff0000U);
  }
};

// Reorders each sixteen inputs: even ones first, then odd ones. Pads with zeros.
static void PackInputs(const float* x, int count, float* packed) {
  for (int k = 0; k < count; k += 2 * kLanes) {
    const int rest = count - k;
    const Vec low = rest >= kLanes ? Load(x + k) : LoadPart(x + k, rest);
    const Vec high = rest >= 2 * kLanes ? Load(x + k + kLanes)
                     : rest > kLanes    ? LoadPart(x + k + kLanes, rest - kLanes)
                                        : Vec{};
    Store(packed + k, __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14));
    Store(packed + k + kLanes, __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15));
  }
}

// Adds rows x weights over inputs [0, count), count <= kMaxKBlock, to a ROWS x OUTS tile of y.
template <bool PREFETCH, int ROWS, int OUTS, typename W>
VARSERVE_INLINE void Tile(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int count, float* y,
                          int64_t y_stride) {
  constexpr int kInputs = Step<W>::kInputs;
  Vec acc[ROWS * OUTS] = {};
  const auto add = [&acc](const float* inputs, int64_t input_stride, const W* weights, int64_t weight_stride)
      __attribute__((always_inline)) {
    for (int part = 0; part < kInputs / kLanes; ++part) {
      Vec weight[OUTS];
      for (int j = 0; j < OUTS; ++j) weight[j] = Step<W>::Part(weights + j * weight_stride, part);
      for (int i = 0; i < ROWS; ++i) {
        Vec input = Load(inputs + i * input_stride + part * kLanes);
        KeepInRegister(input);
        for (int j = 0; j < OUTS; ++j) acc[j * ROWS + i] += input * weight[j];
      }
    }
  };
  int64_t k = 0;
  // Prefetches the next tile's weights while this one is computed, a cache line at a time. Into the L2 cache,
  // which has more outstanding line fills than the L1 cache.
  if constexpr (PREFETCH) {
    for (const int64_t end = count - 2 * kInputs; k <= end; k += 2 * kInputs) {
      for (int j = 0; j < OUTS; ++j)
        __builtin_prefetch(w + (j + OUTS) * w_stride + k, /*rw=*/0, /*locality=*/2);
      add(x + k, x_stride, w + k, w_stride);
      add(x + k + kInputs, x_stride, w + k + kInputs, w_stride);
    }
  }
  for (const int64_t end = count - kInputs; k <= end; k += kInputs) add(x + k, x_stride, w + k, w_stride);
  if (const int64_t rest = count - k; rest > 0) {
    // Packed inputs are already padded, others are not.
    const int64_t inputs = kInputs > kLanes ? kInputs : rest;
    float last_x[ROWS * kInputs] = {};
    W last_w[OUTS * kInputs] = {};
    for (int i = 0; i < ROWS; ++i)
      std::memcpy(last_x + i * kInputs, x + i * x_stride + k, inputs * sizeof(float));
    for (int j = 0; j < OUTS; ++j) std::memcpy(last_w + j * kInputs, w + j * w_stride + k, rest * sizeof(W));
    add(last_x, kInputs, last_w, kInputs);
  }
  constexpr int kQuads = ROWS * OUTS / 4 * 4;
  for (int n = 0; n < kQuads; n += 4) {
    const Quad sums = Sum4(acc[n], acc[n + 1], acc[n + 2], acc[n + 3]);
    for (int i = 0; i < 4; ++i) y[(n + i) % ROWS * y_stride + (n + i) / ROWS] += sums[i];
  }
  for (int n = kQuads; n < ROWS * OUTS; ++n) y[n % ROWS * y_stride + n / ROWS] += Sum(acc[n]);
}

// Any number of outputs, in tiles; ROWS x OUTS accumulators fill the registers. One function per tile shape:
// if they are inlined into one, the compiler spills registers of the innermost loops.
template <bool PREFETCH, int ROWS, int OUTS, typename W>
[[gnu::noinline]] static void Rows(const float* x, int64_t x_stride, const W* w, int64_t w_stride, int outs,
                                   int count, float* y, int64_t y_stride) {
  int n = 0;
  for (; n + OUTS <= outs; n += OUTS) {
    Tile<PREFETCH, ROWS, OUTS>(x, x_stride, w + n * w_stride, w_stride, count, y + n, y_stride);
  }
  for (; n < outs; ++n)
    Tile<PREFETCH, ROWS, 1>(x, x_stride, w + n * w_stride, w_stride, count, y + n, y_stride);
}

template <bool PREFETCH, typename W>
static void Block(const float* x, int64_t x_stride, int rows, const W* w, int64_t w_stride, int outs,
                  int count, float* y, int64_t y_stride) {
  int m = 0;
  constexpr int kOuts =
      Step<W>::kInputs > kLanes ? 2 : 3;  // accumulators, weights, an input and a mask in 16 registers
  for (; m + 4 <= rows; m += 4)
    Rows<PREFETCH, 4, kOuts>(x + m * x_stride, x_stride, w, w_stride, outs, count, y + m * y_stride,
                             y_stride);
  const float* last_x = x + m * x_stride;
  float* last_y = y + m * y_stride;
  switch (rows - m) {
    case 3:
      return Rows<PREFETCH, 3, 3>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    case 2:
      return Rows<PREFETCH, 2, 4>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    case 1:
      return Rows<PREFETCH, 1, 4>(last_x, x_stride, w, w_stride, outs, count, last_y, y_stride);
    default:
      return;
  }
}

// Weights as floats in the order of the parts, in whole steps; rows are kWidenedStride apart.
template <typename W>
static void Widen(const W* w, int64_t w_stride, int outs, int count, float* widened) {
  constexpr int kInputs = Step<W>::kInputs;
  const auto step = [](const W* from, float* to) __attribute__((always_inline)) {
    for (int part = 0; part < kInputs / kLanes; ++part) Store(to + part * kLanes, Step<W>::Part(from, part));
  };
  for (int j = 0; j < outs; ++j, w += w_stride, widened += kWidenedStride) {
    int k = 0;
    for (; k + kInputs <= count; k += kInputs) step(w + k, widened + k);
    if (k < count) {
      W last[kInputs] = {};
      std::memcpy(last, w + k, (count - k) * sizeof(W));
      step(last, widened + k);
    }
  }
}

template <typename W>
static void LinearTyped(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  const W* w = static_cast<const W*>(a.w);
  const int rows = row_end - row_begin;
  const float* x = a.x + row_begin * a.x_stride;
  float* y = a.y + row_begin * a.y_stride;
  for (int m = 0; m < rows; ++m) StartOutputs(a, y + m * a.y_stride, out_begin, out_end);
  const int k_block = KBlock(a.in);
  if (rows <= kFewRows) {
    // Few outputs at a time over all inputs, so that weights stream through once, in long runs.
    constexpr int kOuts = 4;
    for (int n = out_begin; n < out_end; n += kOuts) {
      const int outs = Min(kOuts, out_end - n);
      for (int k = 0; k < a.in; k += k_block) {
        Block</*PREFETCH=*/true>(x + k, a.x_stride, rows, w + static_cast<int64_t>(n) * a.in + k, a.in, outs,
                                 Min(k_block, a.in - k), y + n, a.y_stride);
      }
    }
    return;
  }
  alignas(32) float widened[kNBlock * kWidenedStride];  // float weights too, because of the strides
  for (int n = out_begin; n < out_end; n += kNBlock) {
    const int outs = Min(kNBlock, out_end - n);
    for (int k = 0; k < a.in; k += k_block) {
      const int count = Min(k_block, a.in - k);
      Widen(w + static_cast<int64_t>(n) * a.in + k, a.in, outs, count, widened);
      constexpr int kInputs = Step<W>::kInputs;
      const int inputs = kInputs > kLanes ? (count + kInputs - 1) / kInputs * kInputs : count;
      Block</*PREFETCH=*/false>(x + k, a.x_stride, rows, static_cast<const float*>(widened), kWidenedStride,
                                outs, inputs, y + n, a.y_stride);
    }
  }
}

static void Linear(const LinearArgs& a, int row_begin, int row_end, int out_begin, int out_end) {
  switch (a.w_type) {
    case StorageType::kFloat32:
      return LinearTyped<float>(a, row_begin, row_end, out_begin, out_end);
    case StorageType::kBFloat16:
      return LinearTyped<BFloat16>(a, row_begin, row_end, out_begin, out_end);
    case StorageType::kFloat16:
      return LinearTyped<Float16>(a, row_begin, row_end, out_begin, out_end);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
