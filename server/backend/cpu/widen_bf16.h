// Integers of quantized weights as bfloat16, exactly, with AVX-512. Included only by isa_avx512*.cc and
// isa_amx_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/quantized_panels.h"
#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kVectorBytes = 64;
inline constexpr int kStepVectors = kCodeStepBytes / kVectorBytes;

// A small integer as bfloat16, exactly.
static inline uint16_t BFloat16Of(int integer) {
  return static_cast<uint16_t>(__builtin_bit_cast(uint32_t, static_cast<float>(integer)) >> 16);
}

// A vector of codes. Fetches those that are read a little later from memory into the L2 cache.
static inline __m512i LoadCodes(const uint8_t* codes) {
  constexpr int kAhead = 8192;  // bytes
  __builtin_prefetch(codes + kAhead, /*rw=*/0, /*locality=*/2);
  return _mm512_loadu_si512(codes);
}

// Each of the following classes reads the steps of one group. Widen() turns vector v of a step, four bytes of
// each of sixteen outputs, into a vector for each pair of inputs: of each output two bfloat16.

class Codes8 {
 public:
  static constexpr int kPairs = 2;     // of a step
  static constexpr int kMostRows = 7;  // of a tile, found by measuring
  explicit Codes8(const uint8_t* /*zeros*/) {}

  void Widen(const uint8_t* codes, int /*v*/, __m512i pairs[kPairs]) const {
    const __m512i bytes = LoadCodes(codes);
    pairs[0] = LowBytes(bytes);
    pairs[1] = LowBytes(_mm512_srli_epi32(bytes, 16));
  }

 private:
  // The two low bytes of four. A byte in the lowest place of the significand of 2^23, or in the second lowest
  // of 2^15, is added to that number. Integers of 8 bits are exact in the upper half of a float.
  static __m512i LowBytes(__m512i bytes) {
    const __m512i first = Integer(bytes, 0xff, 0x4b000080, 0x1p23F);
    const __m512i second = Integer(bytes, 0xff00, 0x47008000, 0x1p15F);
    return _mm512_or_si512(_mm512_srli_epi32(first, 16), second);
  }
  // `power`: the bits of power of two `of`, and the sign of the byte, whose inversion adds 128
  static __m512i Integer(__m512i bytes, int mask, int power, float of) {
    constexpr int kAndXor = 0x6a;  // (a & b) ^ c
    const __m512i sum =
        _mm512_ternarylogic_epi32(bytes, _mm512_set1_epi32(mask), _mm512_set1_epi32(power), kAndXor);
    return _mm512_castps_si512(_mm512_castsi512_ps(sum) - _mm512_set1_ps(of + 128.0F));
  }
};

class Codes4 {
 public:
  static constexpr int kPairs = 4;
  static constexpr int kMostRows = 4;
  explicit Codes4(const uint8_t* /*zeros*/) {
    alignas(kVectorBytes) uint16_t integers[32];
    for (int i = 0; i < 32; ++i) integers[i] = BFloat16Of(i % 16 - kZero4);
    table_ = _mm512_load_si512(integers);
  }

  // The table's index is the lowest five bits. Its halves are equal, so the fifth does not matter.
  void Widen(const uint8_t* codes, int /*v*/, __m512i pairs[kPairs]) const {
    const __m512i bytes = LoadCodes(codes);
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
  static constexpr int kMostRows = 4;
  explicit Codes4WithZeros(const uint8_t* zeros) {
    alignas(kVectorBytes) uint16_t integers[32];
    for (int i = 0; i < 32; ++i) integers[i] = BFloat16Of(i - 16);
    table_ = _mm512_load_si512(integers);
    for (int v = 0; v < kStepVectors; ++v) {
      const __m128i of = _mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros + v * sizeof(of)));
      const __m512i four_times = _mm512_mullo_epi32(_mm512_cvtepu8_epi32(of), _mm512_set1_epi32(0x01010101));
      offsets_[v] = _mm512_sub_epi8(_mm512_set1_epi8(16), four_times);
    }
  }

  void Widen(const uint8_t* codes, int v, __m512i pairs[kPairs]) const {
    const __m512i bytes = LoadCodes(codes);
    const __m512i low = _mm512_set1_epi8(15);
    const __m512i even = _mm512_add_epi8(_mm512_and_si512(bytes, low), offsets_[v]);
    const __m512i odd = _mm512_add_epi8(_mm512_and_si512(_mm512_srli_epi16(bytes, 4), low), offsets_[v]);
    pairs[0] = _mm512_permutexvar_epi16(even, table_);
    pairs[1] = _mm512_permutexvar_epi16(odd, table_);
    pairs[2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(even, 8), table_);
    pairs[3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(odd, 8), table_);
  }

 private:
  __m512i table_;                  // bfloat16 of -16 to 15
  __m512i offsets_[kStepVectors];  // 16 - zero, what turns a code into an index of the table, four times
};

template <typename Codes>
static void WidenSteps(const Codes& codes, const uint8_t* from, int pairs, uint16_t* widened) {
  for (int k = 0; k < pairs; k += Codes::kPairs, from += kCodeStepBytes) {
    for (int v = 0; v < kStepVectors; ++v) {
      __m512i vectors[Codes::kPairs];
      codes.Widen(from + v * kVectorBytes, v, vectors);
      for (int p = 0; p < Codes::kPairs; ++p)
        _mm512_store_si512(widened + (k + p) * kPanelStep + v * (kVectorBytes / 2), vectors[p]);
    }
  }
}

// Of one panel and group, [pairs of inputs, kPanelOutputs, 2], as in weight_panels.h.
static void WidenGroup(const QuantizedWeights& w, int panel, int group, uint16_t* widened) {
  const QuantizedShape& shape = w.shape;
  const uint8_t* const from = w.codes + panel * shape.panel_bytes() + group * shape.group_bytes();
  const int pairs = shape.group / 2;
  if (shape.bits == 8) return WidenSteps(Codes8(nullptr), from, pairs, widened);
  if (w.zeros == nullptr) return WidenSteps(Codes4(nullptr), from, pairs, widened);
  WidenSteps(Codes4WithZeros(w.zeros + shape.first_scale(panel, group)), from, pairs, widened);
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
