// Linear layers with quantized weights: integers become floats in registers, eight outputs at a time.
// Included only by isa_avx2.cc and isa_baseline.cc.
//
// An integer is converted where it is among the bits of four bytes, which makes it a power of two too large;
// the input it is multiplied with is divided by that power before. Both are exact for inputs from 2^-102.
#pragma once

#include "server/backend/cpu/for_each.h"
#include "server/backend/cpu/for_panels.h"
#include "server/backend/cpu/row_tiles.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kPanelVectors = kPanelOutputs / kLanes;
inline constexpr int kPackedInputs = 2 * kLanes;  // which PackInputs reorders: even ones, then odd ones
// How many bytes ahead codes are prefetched. Into the L2 cache, which has more outstanding line fills than
// the L1 cache.
inline constexpr int kFetchAhead = 16384;
inline constexpr int kLineBytes = 64;

VARSERVE_INLINE UintVec LoadCodes(const uint8_t* codes, int v) {
  UintVec loaded;
  std::memcpy(&loaded, codes + v * sizeof(loaded), sizeof(loaded));
  return loaded;
}
VARSERVE_INLINE Vec ToFloat(UintVec integers) {
  return __builtin_convertvector(reinterpret_cast<IntVec>(integers), Vec);
}

// Each of the following classes reads steps of four bytes of each output (quantized_panels.h).

struct Codes8 {
  static constexpr int kInputs = 4;  // of a step
  // What inputs are multiplied with, for each of kPackedInputs.
  static constexpr float kInputScales[kPackedInputs] = {
      0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F,
      0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F, 0x1p-24F};
  // The input's place among kPackedInputs; k: of the first of the step
  static constexpr int Place(int k, int input) { return (k + input) / 2 + input % 2 * kLanes; }

  // Integers of one input, of vector v of a step: bytes in the highest place, where they have their sign.
  template <int INPUT>
  VARSERVE_INLINE Vec Floats(const uint8_t* codes, int v) {
    UintVec bytes = LoadCodes(codes, v);
    if constexpr (INPUT < 3) bytes <<= 24 - 8 * INPUT;
    if constexpr (INPUT > 0) bytes &= 0xff000000U;
    return ToFloat(bytes);
  }
  // What a group's sums begin with. inputs: the sum of the group's
  VARSERVE_INLINE Vec Start(const uint8_t* /*zeros*/, float /*inputs*/) { return Vec{}; }
};

struct Codes4 {
  static constexpr int kInputs = 8;
  static constexpr float kInputScales[kPackedInputs] = {
      1,        0x1p-4F,  0x1p-8F,  0x1p-12F, 1,        0x1p-4F,  0x1p-8F,  0x1p-12F,
      0x1p-16F, 0x1p-20F, 0x1p-24F, 1,        0x1p-16F, 0x1p-20F, 0x1p-24F, 1};
  // Even inputs are in the first two bytes, odd ones in the others.
  static constexpr int Place(int k, int input) { return k / 2 + input % 4 + input / 4 * kLanes; }

  // Codes of one input; the highest one where it has no sign.
  template <int INPUT>
  VARSERVE_INLINE Vec Floats(const uint8_t* codes, int v) {
    const UintVec bytes = LoadCodes(codes, v);
    return ToFloat(INPUT == 7 ? bytes >> 28 : bytes & (15U << (4 * INPUT % 28)));
  }
  // Products with codes instead of integers are too large by the zeros times the inputs.
  VARSERVE_INLINE Vec Start(const uint8_t* zeros, float inputs) {
    return zeros == nullptr ? Splat(-inputs * kZero4) : Splat(-inputs) * Load(zeros);
  }
};

struct GroupArgs {
  const float* x;  // [rows, inputs] the group's, rows x_stride apart
  int64_t x_stride;
  int count;             // inputs of the group
  const uint8_t* codes;  // of the panel and group
  const float* widened;  // the same as floats, [inputs in the codes' order, kPanelOutputs], or null
  const float* scales;   // [kPanelOutputs]
  const uint8_t* zeros;  // [kPanelOutputs] or null
  float* y;              // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  int outputs;  // of the panel
};

// A tile's inputs, scaled unless the weights are widened, and the sums of the unscaled ones.
template <int ROWS>
struct TileInputs {
  const float* x;
  int64_t x_stride;
  float sums[ROWS];
  alignas(32) float scaled[ROWS][kMostGroup];
};

template <typename Codes, bool WIDENED, int ROWS>
VARSERVE_INLINE void ReadInputs(const GroupArgs& a, TileInputs<ROWS>& inputs) {
  const Vec even_scales = Load(Codes::kInputScales);
  const Vec odd_scales = Load(Codes::kInputScales + kLanes);
  for (int i = 0; i < ROWS; ++i) {
    const float* const x = a.x + i * a.x_stride;
    Vec sums = {};
    for (int k = 0; k < a.count; k += kPackedInputs) {
      const Vec even = Load(x + k);
      const Vec odd = Load(x + k + kLanes);
      sums = sums + (even + odd);
      if constexpr (WIDENED) continue;
      Store(inputs.scaled[i] + k, even * even_scales);
      Store(inputs.scaled[i] + k + kLanes, odd * odd_scales);
    }
    inputs.sums[i] = Sum(sums);
  }
  inputs.x = WIDENED ? a.x : inputs.scaled[0];
  inputs.x_stride = WIDENED ? a.x_stride : kMostGroup;
}

// y += scale * (x w) of vectors [first, first + VECS) of the panel's outputs. Each output is one chain of
// operations in a group, input by input, and groups follow each other, for any number of rows, widened or
// not.
template <typename Codes, bool WIDENED, int ROWS, int VECS>
VARSERVE_INLINE void GroupTile(const GroupArgs& a, const TileInputs<ROWS>& inputs, int first) {
  Vec acc[ROWS][VECS];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < VECS; ++v) {
      const uint8_t* const zeros = a.zeros != nullptr ? a.zeros + (first + v) * kLanes : nullptr;
      acc[i][v] = Codes::Start(zeros, inputs.sums[i]);
    }
  }
  const uint8_t* codes = a.codes + first * sizeof(Vec);
  const float* widened = WIDENED ? a.widened + first * kLanes : nullptr;
  for (int k = 0; k < a.count; k += Codes::kInputs, codes += kCodeStepBytes) {
    if constexpr (!WIDENED) {
      for (size_t line = 0; line < VECS * sizeof(Vec); line += kLineBytes)
        __builtin_prefetch(codes + kFetchAhead + line, /*rw=*/0, /*locality=*/2);
    }
    const int block = k / kPackedInputs * kPackedInputs;
    ForEach<Codes::kInputs>([&]<int INPUT>() __attribute__((always_inline)) {
      Vec weights[VECS];
      for (int v = 0; v < VECS; ++v)
        weights[v] = WIDENED ? Load(widened + v * kLanes) : Codes::template Floats<INPUT>(codes, v);
      if constexpr (WIDENED) widened += kPanelOutputs;
      const int place = block + Codes::Place(k - block, INPUT);
      for (int i = 0; i < ROWS; ++i) {
        Vec input = Splat(inputs.x[i * inputs.x_stride + place]);
        KeepInRegister(input);
        for (int v = 0; v < VECS; ++v) acc[i][v] += input * weights[v];
      }
    });
  }
  for (int v = 0; v < VECS; ++v) {
    const int n = (first + v) * kLanes;
    const Vec scale = Load(a.scales + n);
    for (int i = 0; i < ROWS; ++i) {
      float* const y = a.y + i * a.y_stride + n;
      if (n + kLanes <= a.outputs) {
        Store(y, Load(y) + scale * acc[i][v]);
      } else if (n < a.outputs) {
        StorePart(y, LoadPart(y, a.outputs - n) + scale * acc[i][v], a.outputs - n);
      }
    }
  }
}

// One function per tile shape, as for other weights: in one, registers of the innermost loops are spilled.
template <typename Codes, bool WIDENED, int ROWS>
[[gnu::noinline]] static void GroupRows(const GroupArgs& a) {
  // Accumulators, weights, codes and an input in 16 registers.
  constexpr int kVecs = ROWS == 1 ? 6 : ROWS <= 3 || WIDENED ? 3 : 2;
  TileInputs<ROWS> inputs;
  ReadInputs<Codes, WIDENED>(a, inputs);
  for (int first = 0; first < kPanelVectors; first += kVecs)
    GroupTile<Codes, WIDENED, ROWS, kVecs>(a, inputs, first);
}

// All rows of a group.
template <typename Codes, bool WIDENED>
static void AllRows(GroupArgs a, int rows) {
  constexpr int kMostRows = 4;
  static constexpr decltype(&GroupRows<Codes, WIDENED, 1>) kTiles[kMostRows] = {
      GroupRows<Codes, WIDENED, 1>, GroupRows<Codes, WIDENED, 2>, GroupRows<Codes, WIDENED, 3>,
      GroupRows<Codes, WIDENED, 4>};
  ForRowTiles(rows, kMostRows, [&](int height) {
    kTiles[height - 1](a);
    a.x += height * a.x_stride;
    a.y += height * a.y_stride;
  });
}

template <typename Codes>
static void WidenGroup(const uint8_t* codes, int count, float* widened) {
  for (int k = 0; k < count; k += Codes::kInputs, codes += kCodeStepBytes) {
    ForEach<Codes::kInputs>([&]<int INPUT>() __attribute__((always_inline)) {
      const float scale = Codes::kInputScales[Codes::Place(k % kPackedInputs, INPUT)];
      for (int v = 0; v < kPanelVectors; ++v, widened += kLanes)
        Store(widened, Codes::template Floats<INPUT>(codes, v) * scale);
    });
  }
}

template <typename Codes>
static void GroupProduct(GroupArgs a, int rows) {
  constexpr int kFew = 8;  // up to which widening in registers is cheaper
  if (rows <= kFew) return AllRows<Codes, /*WIDENED=*/false>(a, rows);
  alignas(32) float widened[kMostGroup * kPanelOutputs];
  WidenGroup<Codes>(a.codes, a.count, widened);
  a.widened = widened;
  AllRows<Codes, /*WIDENED=*/true>(a, rows);
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  const QuantizedShape& shape = a.w.shape;
  const auto product = shape.bits == 8 ? GroupProduct<Codes8> : GroupProduct<Codes4>;
  ForPanels(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int outputs) {
    for (int group = 0; group < shape.groups(); ++group) {
      const int64_t first_scale = shape.first_scale(panel, group);
      const GroupArgs args{.x = a.x + row_begin * a.x_stride + int64_t{group} * shape.group,
                           .x_stride = a.x_stride,
                           .count = shape.group,
                           .codes = a.w.codes + panel * shape.panel_bytes() + group * shape.group_bytes(),
                           .widened = nullptr,
                           .scales = a.w.scales + first_scale,
                           .zeros = a.w.zeros != nullptr ? a.w.zeros + first_scale : nullptr,
                           .y = a.y + row_begin * a.y_stride + int64_t{panel} * kPanelOutputs,
                           .y_stride = a.y_stride,
                           .outputs = outputs};
      product(args, row_end - row_begin);
    }
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
