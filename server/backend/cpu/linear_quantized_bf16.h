// Linear layers with quantized weights and instructions that multiply pairs of bfloat16. A group's integers
// of one panel are widened to bfloat16 in the L1 cache, for all rows. Included only by isa_avx512_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/linear_bf16.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kAheadBytes = 4096;  // how far ahead codes are fetched
inline constexpr int kCodesOfVector = 2 * kWide;

// bfloat16 values of the integers -16 to 15.
static __m512i SmallIntegers() {
  alignas(64) uint16_t values[32];
  for (int i = 0; i < 32; ++i) {
    const auto value = static_cast<float>(i - 16);
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    values[i] = static_cast<uint16_t>(bits >> 16);
  }
  return _mm512_load_si512(values);
}

// For each output twice, 16 - zero: what turns a code into an index of SmallIntegers.
static void IndexOffsets(const uint8_t* zeros, __m512i offsets[kPanelVecs]) {
  for (int v = 0; v < kPanelVecs; ++v) {
    const __m128i of = zeros != nullptr ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros + v * kWide))
                                        : _mm_set1_epi8(kZero4);
    const __m512i wide = _mm512_cvtepu8_epi32(of);
    const __m512i twice = _mm512_or_si512(wide, _mm512_slli_epi32(wide, 16));
    offsets[v] = _mm512_sub_epi16(_mm512_set1_epi16(16), twice);
  }
}

// pairs of inputs x kPanelOutputs, as in weight_panels.h
static void Widen4(const uint8_t* codes, const uint8_t* zeros, int pairs, uint16_t* widened) {
  const __m512i table = SmallIntegers();
  const __m512i low = _mm512_set1_epi16(15);
  __m512i offsets[kPanelVecs];
  IndexOffsets(zeros, offsets);
  for (int k = 0; k < pairs; k += 2, widened += 2 * kPanelStep) {
    for (int v = 0; v < kPanelVecs; ++v, codes += kCodesOfVector) {
      __builtin_prefetch(codes + kAheadBytes, /*rw=*/0, /*locality=*/2);
      const __m512i both = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
      const __m512i first = _mm512_add_epi16(_mm512_and_si512(both, low), offsets[v]);
      const __m512i second = _mm512_add_epi16(_mm512_srli_epi16(both, 4), offsets[v]);
      _mm512_store_si512(widened + v * kCodesOfVector, _mm512_permutexvar_epi16(first, table));
      _mm512_store_si512(widened + kPanelStep + v * kCodesOfVector, _mm512_permutexvar_epi16(second, table));
    }
  }
}

static void Widen8(const uint8_t* codes, int pairs, uint16_t* widened) {
  for (int i = 0; i < pairs * kPanelVecs; ++i, codes += kCodesOfVector, widened += kCodesOfVector) {
    __builtin_prefetch(codes + kAheadBytes, /*rw=*/0, /*locality=*/2);
    const auto part = [&](int at) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + at));
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    };
    const __m512bh both = _mm512_cvtne2ps_pbh(part(kWide), part(0));
    std::memcpy(widened, &both, sizeof(both));
  }
}

struct GroupTileArgs {
  const uint16_t* x;  // [rows, pairs, 2], rows x_stride apart
  int64_t x_stride;
  const uint16_t* w;  // [pairs, kPanelOutputs, 2]
  int pairs;
  const float* scales;  // [kPanelOutputs]
  float* y;             // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  __mmask16 valid[kPanelVecs];
};

// y += scale * (x w). Each output is one chain of operations in a group, and groups follow each other, for
// any number of rows.
template <int ROWS>
[[gnu::noinline]] static void GroupTile(const GroupTileArgs& t) {
  __m512 acc[ROWS][kPanelVecs];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_setzero_ps();
  }
  const uint16_t* w = t.w;
  for (int k = 0; k < t.pairs; ++k, w += kPanelStep) {
    __m512bh weights[kPanelVecs];
    for (int v = 0; v < kPanelVecs; ++v)
      weights[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(w + v * kCodesOfVector));
    for (int i = 0; i < ROWS; ++i) {
      int32_t pair;
      std::memcpy(&pair, t.x + i * t.x_stride + 2 * k, sizeof(pair));
      const auto input = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], input, weights[v]);
    }
  }
  for (int v = 0; v < kPanelVecs; ++v) {
    const __m512 scale = _mm512_loadu_ps(t.scales + v * kWide);
    for (int i = 0; i < ROWS; ++i) {
      float* const y = t.y + i * t.y_stride + v * kWide;
      const __m512 sum = _mm512_fmadd_ps(acc[i][v], scale, _mm512_maskz_loadu_ps(t.valid[v], y));
      _mm512_mask_storeu_ps(y, t.valid[v], sum);
    }
  }
}

static void GroupRows(GroupTileArgs t, int rows) {
  static constexpr decltype(&GroupTile<1>) kTiles[kTileRows] = {GroupTile<1>, GroupTile<2>, GroupTile<3>,
                                                                GroupTile<4>, GroupTile<5>, GroupTile<6>,
                                                                GroupTile<7>, GroupTile<8>};
  for (int tiles = (rows + kTileRows - 1) / kTileRows; tiles > 0; --tiles) {
    const int height = (rows + tiles - 1) / tiles;
    kTiles[height - 1](t);
    rows -= height;
    t.x += height * t.x_stride;
    t.y += height * t.y_stride;
  }
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  const QuantizedShape& shape = a.w.shape;
  alignas(64) uint16_t widened[kMostGroup / 2 * kPanelStep];
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const int n = panel * kPanelOutputs;
    const int outputs = shape.out - n < kPanelOutputs ? shape.out - n : kPanelOutputs;
    const LinearArgs start{.bias = a.bias, .accumulate = a.accumulate};
    for (int m = row_begin; m < row_end; ++m) StartOutputs(start, a.y + m * a.y_stride, n, n + outputs);
    const uint8_t* codes = a.w.codes + panel * shape.panel_bytes();
    for (int g = 0; g < shape.groups(); ++g, codes += shape.group_bytes()) {
      const int64_t first_scale = (int64_t{panel} * shape.groups() + g) * kPanelOutputs;
      const int pairs = shape.group / 2;
      if (shape.bits == 4) {
        Widen4(codes, a.w.zeros != nullptr ? a.w.zeros + first_scale : nullptr, pairs, widened);
      } else {
        Widen8(codes, pairs, widened);
      }
      GroupTileArgs t{.x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride) + g * shape.group,
                      .x_stride = 2 * a.x_stride,
                      .w = widened,
                      .pairs = pairs,
                      .scales = a.w.scales + first_scale,
                      .y = a.y + row_begin * a.y_stride + n,
                      .y_stride = a.y_stride};
      for (int v = 0; v < kPanelVecs; ++v) {
        const int left = outputs - v * kWide;
        t.valid[v] = left >= kWide ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1U << left) - 1);
      }
      GroupRows(t, row_end - row_begin);
    }
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
