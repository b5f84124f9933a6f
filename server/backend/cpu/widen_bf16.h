// Integers of quantized weights as bfloat16, exactly, with AVX-512. Included only by isa_avx512_bf16.cc and
// isa_amx_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/quantized_panels.h"
#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kAheadBytes = 4096;  // how far ahead codes are fetched
inline constexpr int kVectorBytes = 64;
inline constexpr int kCodeVectors = kStepBytes / kVectorBytes;

// Each of the following turns vector v of a step's bytes, four for each of sixteen outputs, into kPairs
// vectors: for each of these outputs one pair of inputs.

class Codes8 {
 public:
  static constexpr int kPairs = 2;
  explicit Codes8(const uint8_t* /*zeros*/) {}

  // A byte placed in the lowest bits of a float's significand, below a large number, becomes a float when
  // that number is subtracted.
  void Widen(const uint8_t* codes, int /*v*/, __m512i pairs[kPairs]) const {
    const __m512i bytes = _mm512_loadu_si512(codes);
    pairs[0] = Pair(bytes);
    pairs[1] = Pair(_mm512_srli_epi32(bytes, 16));
  }

 private:
  // The two lowest bytes.
  static __m512i Pair(__m512i bytes) {
    const __m512i first = Float(bytes, _mm512_set1_epi32(0xff), _mm512_set1_epi32(0x4b000080), 8388736.0F);
    const __m512i second = Float(bytes, _mm512_set1_epi32(0xff00), _mm512_set1_epi32(0x47008000), 32896.0F);
    return _mm512_or_si512(_mm512_srli_epi32(first, 16), second);
  }
  static __m512i Float(__m512i bytes, __m512i mask, __m512i large, float subtract) {
    constexpr int kAndXor = 0x6a;  // (a & b) ^ c
    const __m512i sum = _mm512_ternarylogic_epi32(bytes, mask, large, kAndXor);
    return _mm512_castps_si512(_mm512_sub_ps(_mm512_castsi512_ps(sum), _mm512_set1_ps(subtract)));
  }
};

class Codes4 {
 public:
  static constexpr int kPairs = 4;
  explicit Codes4(const uint8_t* /*zeros*/) {
    alignas(64) uint16_t values[32];
    for (int i = 0; i < 32; ++i) values[i] = BFloat16Of(i % 16 - kZero4);
    table_ = _mm512_load_si512(values);
  }
  void Widen(const uint8_t* codes, int /*v*/, __m512i pairs[kPairs]) const {
    const __m512i bytes = _mm512_loadu_si512(codes);
    pairs[0] = _mm512_permutexvar_epi16(bytes, table_);
    pairs[1] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4), table_);
    pairs[2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 8), table_);
    pairs[3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 12), table_);
  }

 private:
  __m512i table_;
};

class Codes4WithZeros {
 public:
  static constexpr int kPairs = 4;
  explicit Codes4WithZeros(const uint8_t* zeros) {
    alignas(64) uint16_t values[32];
    for (int i = 0; i < 32; ++i) values[i] = BFloat16Of(i - 16);
    table_ = _mm512_load_si512(values);
    for (int v = 0; v < kCodeVectors; ++v) {
      const __m512i of =
          _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros + v * 16)));
      const __m512i everywhere = _mm512_mullo_epi32(of, _mm512_set1_epi32(0x01010101));
      offsets_[v] = _mm512_sub_epi8(_mm512_set1_epi8(16), everywhere);
    }
  }
  void Widen(const uint8_t* codes, int v, __m512i pairs[kPairs]) const {
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i bytes = _mm512_loadu_si512(codes);
    const __m512i even = _mm512_add_epi8(_mm512_and_si512(bytes, low), offsets_[v]);
    const __m512i odd = _mm512_add_epi8(_mm512_and_si512(_mm512_srli_epi16(bytes, 4), low), offsets_[v]);
    pairs[0] = _mm512_permutexvar_epi16(even, table_);
    pairs[1] = _mm512_permutexvar_epi16(odd, table_);
    pairs[2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(even, 8), table_);
    pairs[3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(odd, 8), table_);
  }

 private:
  __m512i table_;
  __m512i offsets_[kCodeVectors];
};

// Calls of(codes) with
template <typename Codes>
static void Widen(const Codes& source, const uint8_t* codes, int pairs, uint16_t* widened) {
  for (int k = 0; k < pairs; k += Codes::kPairs, codes += kStepBytes, widened += Codes::kPairs * kPanelStep) {
    for (int v = 0; v < kCodeVectors; ++v) {
      __builtin_prefetch(codes + kAheadBytes + v * kVectorBytes, /*rw=*/0, /*locality=*/2);
      __m512i vectors[Codes::kPairs];
      source.Widen(codes + v * kVectorBytes, v, vectors);
      for (int p = 0; p < Codes::kPairs; ++p)
        _mm512_store_si512(widened + p * kPanelStep + v * (kVectorBytes / 2), vectors[p]);
    }
  }
}

// Of one panel and group, [pairs of inputs, kPanelOutputs, 2], as in weight_panels.h.
static void WidenGroup(const QuantizedWeights& w, int panel, int group, uint16_t* widened) {
  const QuantizedShape& shape = w.shape;
  const uint8_t* codes = w.codes + panel * shape.panel_bytes() + group * shape.group_bytes();
  const int pairs = shape.group / 2;
  if (shape.bits == 8) return Widen(Codes8(nullptr), codes, pairs, widened);
  if (w.zeros == nullptr) return Widen(Codes4(nullptr), codes, pairs, widened);
  Widen(Codes4WithZeros(w.zeros + shape.first_scale(panel, group)), codes, pairs, widened);
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
