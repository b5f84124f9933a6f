// Integers of quantized weights as bfloat16, exactly, with AVX-512. Included only by isa_avx512_bf16.cc and
// isa_amx_bf16.cc.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "server/backend/cpu/quantized_panels.h"
#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kAheadBytes = 4096;  // how far ahead codes are fetched
inline constexpr int kCodesOfVector = 32;
inline constexpr int kCodeVectors = kPanelStep / kCodesOfVector;

// bfloat16 values of the integers -16 to 15.
static __m512i SmallIntegers() {
  alignas(64) uint16_t values[32];
  for (int i = 0; i < 32; ++i) values[i] = BFloat16Of(i - 16);
  return _mm512_load_si512(values);
}

// For each output twice, 16 - zero: what turns a code into an index of SmallIntegers.
static void IndexOffsets(const uint8_t* zeros, __m512i offsets[kCodeVectors]) {
  for (int v = 0; v < kCodeVectors; ++v) {
    const __m128i of = zeros != nullptr
                           ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros + v * kCodesOfVector / 2))
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
  __m512i offsets[kCodeVectors];
  IndexOffsets(zeros, offsets);
  for (int k = 0; k < pairs; k += 2, widened += 2 * kPanelStep) {
    for (int v = 0; v < kCodeVectors; ++v, codes += kCodesOfVector) {
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
  for (int i = 0; i < pairs * kCodeVectors; ++i, codes += kCodesOfVector, widened += kCodesOfVector) {
    __builtin_prefetch(codes + kAheadBytes, /*rw=*/0, /*locality=*/2);
    const auto part = [&](int at) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + at));
      return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    };
    const __m512bh both = _mm512_cvtne2ps_pbh(part(kCodesOfVector / 2), part(0));
    std::memcpy(widened, &both, sizeof(both));
  }
}

// Of one panel and group, [pairs of inputs, kPanelOutputs, 2].
static void WidenGroup(const QuantizedWeights& w, int panel, int group, uint16_t* widened) {
  const QuantizedShape& shape = w.shape;
  const uint8_t* codes = w.codes + panel * shape.panel_bytes() + group * shape.group_bytes();
  if (shape.bits == 8) return Widen8(codes, shape.group / 2, widened);
  Widen4(codes, w.zeros != nullptr ? w.zeros + shape.first_scale(panel, group) : nullptr, shape.group / 2,
         widened);
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
