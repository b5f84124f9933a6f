// Eight float lanes with compiler vector extensions. Included only by isa_*.cc, once per instruction set.
// Everything is in the namespace VARSERVE_ISA and uses no standard library template, so that translation
// units never share code compiled for different processors.
#pragma once

#include <cstdint>
#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kLanes = 8;
typedef float Vec __attribute__((vector_size(32)));
typedef int32_t IntVec __attribute__((vector_size(32)));
typedef uint32_t UintVec __attribute__((vector_size(32)));
typedef int16_t ShortVec __attribute__((vector_size(32)));
typedef uint16_t HalfVec __attribute__((vector_size(16)));
typedef uint8_t ByteVec __attribute__((vector_size(8)));

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

#define VARSERVE_INLINE static inline __attribute__((always_inline))

VARSERVE_INLINE int Min(int a, int b) { return a < b ? a : b; }

VARSERVE_INLINE Vec Splat(float x) { return Vec{x, x, x, x, x, x, x, x}; }
VARSERVE_INLINE Vec AsFloat(UintVec bits) { return reinterpret_cast<Vec>(bits); }
VARSERVE_INLINE UintVec AsBits(Vec x) { return reinterpret_cast<UintVec>(x); }

VARSERVE_INLINE Vec Load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
VARSERVE_INLINE Vec Load(const BFloat16* p) {
#ifdef __AVX2__  // compilers use five instructions for the conversion below
  __m128i half;
  std::memcpy(&half, p, sizeof(half));
  return AsFloat(reinterpret_cast<UintVec>(_mm256_cvtepu16_epi32(half)) << 16);
#else
  HalfVec half;
  std::memcpy(&half, p, sizeof(half));
  return AsFloat(__builtin_convertvector(half, UintVec) << 16);
#endif
}
VARSERVE_INLINE Vec Load(const Float16* p) {
#ifdef __F16C__
  __m128i half;
  std::memcpy(&half, p, sizeof(half));
  return reinterpret_cast<Vec>(_mm256_cvtph_ps(half));
#else
  HalfVec half;
  std::memcpy(&half, p, sizeof(half));
  const UintVec bits = __builtin_convertvector(half, UintVec);
  // Shifting exponent and mantissa into place leaves values off by 2^112, which a multiplication corrects,
  // including subnormals; infinity and NaN need the full exponent.
  const UintVec magnitude = (bits & 0x7fffU) << 13;
  const UintVec scaled = AsBits(AsFloat(magnitude) * 0x1p112F);
  const UintVec special = reinterpret_cast<UintVec>(magnitude >= (0x7c00U << 13)) & 0x7f800000U;
  return AsFloat(scaled | special | ((bits & 0x8000U) << 16));
#endif
}

VARSERVE_INLINE IntVec LoadBytes(const uint8_t* p) {
#ifdef __AVX2__  // compilers convert the bytes one by one below
  return reinterpret_cast<IntVec>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  ByteVec bytes;
  std::memcpy(&bytes, p, sizeof(bytes));
  return __builtin_convertvector(bytes, IntVec);
#endif
}

VARSERVE_INLINE void Store(float* p, Vec v) { std::memcpy(p, &v, sizeof(v)); }
// Rounds to nearest, ties to even; NaN stays NaN.
VARSERVE_INLINE void Store(BFloat16* p, Vec v) {
  const UintVec bits = AsBits(v);
  const UintVec rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const UintVec quiet = (bits >> 16) | 0x40U;
  const UintVec is_nan = reinterpret_cast<UintVec>(v != v);
  const HalfVec half = __builtin_convertvector((rounded & ~is_nan) | (quiet & is_nan), HalfVec);
  std::memcpy(p, &half, sizeof(half));
}
VARSERVE_INLINE void Store(Float16* p, Vec v) {
#ifdef __F16C__
  const __m128i half = _mm256_cvtps_ph(reinterpret_cast<__m256>(v), _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(p, &half, sizeof(half));
#else
  const UintVec bits = AsBits(v);
  const UintVec magnitude = bits & 0x7fffffffU;
  // Below 2^-14 the float addition rounds at the subnormal's last bit; above, the integer addition rounds to
  // even.
  const UintVec subnormal = AsBits(AsFloat(magnitude) + 0.5F) - 0x3f000000U;
  const UintVec normal = (magnitude + 0xfffU + ((magnitude >> 13) & 1U) - (112U << 23)) >> 13;
  const UintVec is_subnormal = reinterpret_cast<UintVec>(magnitude < 0x38800000U);
  const UintVec is_overflow = reinterpret_cast<UintVec>(magnitude >= 0x477ff000U);
  const UintVec is_nan = reinterpret_cast<UintVec>(magnitude > 0x7f800000U);
  UintVec half = (subnormal & is_subnormal) | (normal & ~is_subnormal);
  half = (half & ~is_overflow) | (0x7c00U & is_overflow) | (0x200U & is_nan);
  const HalfVec out = __builtin_convertvector(half | ((bits >> 16) & 0x8000U), HalfVec);
  std::memcpy(p, &out, sizeof(out));
#endif
}

// Makes the compiler load a value once instead of reading memory at each use.
template <typename V>
VARSERVE_INLINE void KeepInRegister(V& v) {
#ifdef __AVX2__
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

// The first n < 8 lanes; the others read as 0 and are not written.
template <typename T>
VARSERVE_INLINE Vec LoadPart(const T* p, int n) {
  T lanes[kLanes] = {};
  std::memcpy(lanes, p, n * sizeof(T));
  return Load(lanes);
}
template <typename T>
VARSERVE_INLINE void StorePart(T* p, Vec v, int n) {
  T lanes[kLanes];
  Store(lanes, v);
  std::memcpy(p, lanes, n * sizeof(T));
}

// Adds the lanes in the order ((0+1)+(2+3)) + ((4+5)+(6+7)).
VARSERVE_INLINE float Sum(Vec v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }

// The sums of four vectors, each in the order of Sum().
typedef float Quad __attribute__((vector_size(16)));
VARSERVE_INLINE Quad Sum4(Vec a, Vec b, Vec c, Vec d) {
  // Within each half: pairs of a and b, pairs of c and d, then pairs of pairs.
  const Vec ab = __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
                 __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
  const Vec cd = __builtin_shufflevector(c, d, 0, 2, 8, 10, 4, 6, 12, 14) +
                 __builtin_shufflevector(c, d, 1, 3, 9, 11, 5, 7, 13, 15);
  const Vec abcd = __builtin_shufflevector(ab, cd, 0, 2, 8, 10, 4, 6, 12, 14) +
                   __builtin_shufflevector(ab, cd, 1, 3, 9, 11, 5, 7, 13, 15);
  return __builtin_shufflevector(abcd, abcd, 0, 1, 2, 3) + __builtin_shufflevector(abcd, abcd, 4, 5, 6, 7);
}

VARSERVE_INLINE Vec Max(Vec a, Vec b) { return a > b ? a : b; }

VARSERVE_INLINE float MaxLane(Vec v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

// e^x within 2 ulp for x <= 88; 0 below -87.3, NaN for NaN. Cody-Waite reduction and a polynomial of
// degree 6.
VARSERVE_INLINE Vec Exp(Vec x) {
  const Vec clamped = x < -87.33F ? Splat(-87.33F) : x;
  const Vec scaled = clamped * 1.44269504088896341F;
  const Vec shifter = Splat(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec shifted = scaled + shifter;
  const Vec n = shifted - shifter;
  Vec r = clamped - n * 0.693359375F;
  r = r - n * -2.12194440e-4F;
  Vec poly = Splat(1.9875691500e-4F);
  poly = poly * r + 1.3981999507e-3F;
  poly = poly * r + 8.3334519073e-3F;
  poly = poly * r + 4.1665795894e-2F;
  poly = poly * r + 1.6666665459e-1F;
  poly = poly * r + 5.0000001201e-1F;
  poly = poly * r * r + r + 1.0F;
  const UintVec exponent = (AsBits(shifted) - AsBits(shifter) + 127U) << 23;
  const Vec result = poly * AsFloat(exponent);
  return x < -87.33F ? Splat(0.0F) : result;
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
