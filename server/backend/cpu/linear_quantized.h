// Linear layers with quantized weights: exact sums of products of integers, eight outputs at a time. Included
// only by isa_avx2.cc and isa_baseline.cc.
//
// Inputs are rounded to 16 bits (group_inputs.h). A vector holds twice as many such integers as floats, which
// most processors multiply as fast, and shifts and masks turn codes into them. A group's sum times its scales
// is added to y, so an output's bits depend only on its row and its weights.
#pragma once

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "server/backend/cpu/for_each.h"
#include "server/backend/cpu/for_panels.h"
#include "server/backend/cpu/group_inputs.h"
#include "server/backend/cpu/row_tiles.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kPanelVectors = kPanelOutputs / kLanes;
inline constexpr int kHalfVectors = kPanelVectors / 2;
inline constexpr int kHalfOutputs = kPanelOutputs / 2;
// Up to this many rows, codes become integers in registers.
inline constexpr int kMostFew = 4;
// How many bytes ahead codes are prefetched. Into the L2 cache, which has more outstanding line fills than
// the L1 cache.
inline constexpr int kFetchAhead = 16384;
inline constexpr int kLineBytes = 64;

// a[0] b[0] + a[1] b[1] of two integers of 16 bits in each lane.
VARSERVE_INLINE IntVec SumsOfProducts(IntVec a, IntVec b) {
#if defined(__AVX2__)
  return reinterpret_cast<IntVec>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  __m128i x[2], y[2];
  std::memcpy(x, &a, sizeof(a));
  std::memcpy(y, &b, sizeof(b));
  for (int half = 0; half < 2; ++half) x[half] = _mm_madd_epi16(x[half], y[half]);
  std::memcpy(&a, x, sizeof(a));
  return a;
#else
  return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

VARSERVE_INLINE IntVec LoadPairs(const void* p) {
  IntVec loaded;
  std::memcpy(&loaded, p, sizeof(loaded));
  return loaded;
}

// Each of the following classes reads steps of four bytes of each output (quantized_panels.h), as pairs of
// integers in the order of the packed inputs.

struct Codes8 {
  static constexpr int kPairs = 2;  // of a step
  template <int PAIR>
  VARSERVE_INLINE IntVec Pair(IntVec step) {
    auto bytes = reinterpret_cast<ShortVec>(step);
    if constexpr (PAIR == 0) bytes <<= 8;
    return reinterpret_cast<IntVec>(bytes >> 8);
  }
  // What a group's sums begin with. inputs: the sum of the group's
  VARSERVE_INLINE IntVec Start(const uint8_t* /*zeros*/, int32_t /*inputs*/) { return IntVec{}; }
};

struct Codes4 {
  static constexpr int kPairs = 4;
  template <int PAIR>
  VARSERVE_INLINE IntVec Pair(IntVec step) {
    return reinterpret_cast<IntVec>((reinterpret_cast<UintVec>(step) >> (4 * PAIR)) & 0x000f000fU);
  }
  // Products with codes instead of integers are too large by the zeros times the inputs.
  VARSERVE_INLINE IntVec Start(const uint8_t* zeros, int32_t inputs) {
    return zeros == nullptr ? IntVec{} - inputs * kZero4 : LoadBytes(zeros) * -inputs;
  }
};

struct GroupArgs {
  const int16_t* x;     // [rows, 2 pairs] the group's integers
  const float* powers;  // [rows] the group's
  const float* sums;    // [rows] the group's, int32
  int64_t x_stride;     // floats from one row's to the next
  int pairs;
  const uint8_t* codes;    // of the panel and group
  const int32_t* widened;  // [2, pairs, kHalfOutputs] the same as pairs of integers, or null
  const float* scales;     // [kPanelOutputs]
  const uint8_t* zeros;    // [kPanelOutputs] or null
  float* y;                // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  int outputs;  // of the panel
};

// Of row i, in every lane.
VARSERVE_INLINE IntVec PairOfInputs(const GroupArgs& a, int i, int pair) {
  int32_t both;
  std::memcpy(&both, a.x + 2 * (i * a.x_stride + pair), sizeof(both));
  return IntVec{} + both;
}

template <int ROWS, int VECS>
VARSERVE_INLINE void AddWidened(const GroupArgs& a, const int32_t* widened, IntVec (&acc)[ROWS][VECS]) {
  for (int k = 0; k < a.pairs; ++k, widened += kHalfOutputs) {
    IntVec weights[VECS];
    for (int v = 0; v < VECS; ++v) weights[v] = LoadPairs(widened + v * kLanes);
    for (int i = 0; i < ROWS; ++i) {
      IntVec inputs = PairOfInputs(a, i, k);
      KeepInRegister(inputs);
      for (int v = 0; v < VECS; ++v) acc[i][v] += SumsOfProducts(inputs, weights[v]);
    }
  }
}

template <typename Codes, int ROWS, int VECS>
VARSERVE_INLINE void AddCodes(const GroupArgs& a, const uint8_t* codes, IntVec (&acc)[ROWS][VECS]) {
  for (int k = 0; k < a.pairs; k += Codes::kPairs, codes += kCodeStepBytes) {
    for (size_t line = 0; line < VECS * sizeof(IntVec); line += kLineBytes)
      __builtin_prefetch(codes + kFetchAhead + line, /*rw=*/0, /*locality=*/2);
    const auto inputs = [&](int row, int pair) __attribute__((always_inline)) {
      IntVec both = PairOfInputs(a, row, k + pair);
      KeepInRegister(both);
      return both;
    };
    if constexpr (ROWS == 1) {
      IntVec all[Codes::kPairs];
      ForEach<Codes::kPairs>([&]<int PAIR>() __attribute__((always_inline)) { all[PAIR] = inputs(0, PAIR); });
      ForEach<VECS>([&]<int V>() __attribute__((always_inline)) {
        IntVec step = LoadPairs(codes + V * sizeof(IntVec));
        KeepInRegister(step);
        ForEach<Codes::kPairs>([&]<int PAIR>() __attribute__((always_inline)) {
          acc[0][V] += SumsOfProducts(all[PAIR], Codes::template Pair<PAIR>(step));
        });
      });
    } else {
      ForEach<Codes::kPairs>([&]<int PAIR>() __attribute__((always_inline)) {
        IntVec weights[VECS];
        ForEach<VECS>([&]<int V>() __attribute__((always_inline)) {
          weights[V] = Codes::template Pair<PAIR>(LoadPairs(codes + V * sizeof(IntVec)));
        });
        ForEach<ROWS>([&]<int I>() __attribute__((always_inline)) {
          const IntVec both = inputs(I, PAIR);
          ForEach<VECS>([&]<int V>() __attribute__((always_inline)) {
            acc[I][V] += SumsOfProducts(both, weights[V]);
          });
        });
      });
    }
  }
}

// y += scales * (x w) of vectors [first, first + VECS) of the panel's outputs.
template <typename Codes, bool WIDENED, int ROWS, int VECS>
VARSERVE_INLINE void GroupTile(const GroupArgs& a, int first) {
  IntVec acc[ROWS][VECS];
  for (int i = 0; i < ROWS; ++i) {
    int32_t sum;
    std::memcpy(&sum, a.sums + i * a.x_stride, sizeof(sum));
    for (int v = 0; v < VECS; ++v)
      acc[i][v] = Codes::Start(a.zeros != nullptr ? a.zeros + (first + v) * kLanes : nullptr, sum);
  }
  if constexpr (WIDENED) {
    AddWidened(a, a.widened + first / kHalfVectors * a.pairs * kHalfOutputs, acc);
  } else {
    AddCodes<Codes>(a, a.codes + first * sizeof(IntVec), acc);
  }
  for (int i = 0; i < ROWS; ++i) {
    const float power = a.powers[i * a.x_stride];
    for (int v = 0; v < VECS; ++v) {
      const int n = (first + v) * kLanes;
      float* const y = a.y + i * a.y_stride + n;
      if (n >= a.outputs) continue;
      const bool whole = n + kLanes <= a.outputs;
      const Vec scale = power * Load(a.scales + n);
      Vec sum = whole ? Load(y) : LoadPart(y, a.outputs - n);
      sum += __builtin_convertvector(acc[i][v], Vec) * scale;  // one operation in any tile
      whole ? Store(y, sum) : StorePart(y, sum, a.outputs - n);
    }
  }
}

// One function per tile shape: in one, registers of the innermost loops are spilled.
template <typename Codes, bool WIDENED, int ROWS>
[[gnu::noinline]] static void GroupRows(const GroupArgs& a) {
  // Accumulators, weights and an input in 16 registers.
  constexpr int kVecs = WIDENED ? kHalfVectors : ROWS == 1 ? 6 : ROWS <= 3 ? 3 : 2;
  for (int first = 0; first < kPanelVectors; first += kVecs) GroupTile<Codes, WIDENED, ROWS, kVecs>(a, first);
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
    const int64_t floats = height * a.x_stride;
    a.x += 2 * floats;
    a.powers += floats;
    a.sums += floats;
    a.y += height * a.y_stride;
  });
}

// => [2, pairs, kHalfOutputs]
template <typename Codes>
static void WidenGroup(const uint8_t* codes, int pairs, int32_t* widened) {
  for (int k = 0; k < pairs; k += Codes::kPairs, codes += kCodeStepBytes) {
    ForEach<Codes::kPairs>([&]<int PAIR>() __attribute__((always_inline)) {
      for (int v = 0; v < kPanelVectors; ++v) {
        const IntVec weights = Codes::template Pair<PAIR>(LoadPairs(codes + v * sizeof(IntVec)));
        const int place = (v / kHalfVectors * pairs + k + PAIR) * kHalfOutputs + v % kHalfVectors * kLanes;
        std::memcpy(widened + place, &weights, sizeof(weights));
      }
    });
  }
}

template <typename Codes>
static void GroupProduct(GroupArgs a, int rows) {
  if (rows <= kMostFew) return AllRows<Codes, /*WIDENED=*/false>(a, rows);
  alignas(64) int32_t widened[kMostGroup / 2 * kPanelOutputs];
  WidenGroup<Codes>(a.codes, a.pairs, widened);
  a.widened = widened;
  AllRows<Codes, /*WIDENED=*/true>(a, rows);
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  const QuantizedShape& shape = a.w.shape;
  const GroupPlaces places(shape);
  const auto product = shape.bits == 8 ? GroupProduct<Codes8> : GroupProduct<Codes4>;
  const float* const x = a.x + row_begin * a.x_stride;
  ForPanels(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int outputs) {
    for (int group = 0; group < shape.groups(); ++group) {
      const int64_t first_scale = shape.first_scale(panel, group);
      const GroupArgs args{.x = reinterpret_cast<const int16_t*>(x) + group * shape.group,
                           .powers = x + places.power + group,
                           .sums = x + places.sum + group,
                           .x_stride = a.x_stride,
                           .pairs = shape.group / 2,
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
