// Inputs of quantized layers, rounded to 16 bits. Included only by isa_avx2.cc and isa_baseline.cc.
//
// A group's inputs become multiples of the power of two with which the largest is between 2^14 and 2^15, but
// none below 2^-126; 2^15 itself becomes 2^15 - 1. A packed row has these integers [K], of 16 bits, then each
// group's power, then the sum of each group's integers, of 32 bits. With 8 bit weights, the second and third
// of four inputs change places. An input that is not finite makes its group's power NaN, and so all of the
// row's outputs.
#pragma once

#include "server/backend/cpu/quantized_panels.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Where a packed row keeps what belongs to a group, from its first group's integers on, in floats.
struct GroupPlaces {
  int64_t power;
  int64_t sum;
  explicit GroupPlaces(const QuantizedShape& shape) : power(shape.in / 2), sum(power + shape.groups()) {}
};

// Rounds a group to integers and returns their sum. power: what they are multiples of, NaN if an input is not
// finite
VARSERVE_INLINE int32_t PackGroup(const float* x, const QuantizedShape& shape, int16_t* integers,
                                  float* power) {
  Vec largest = {};
  Vec nan = {};
  for (int k = 0; k < shape.group; k += kLanes) {
    const Vec in = Load(x + k);
    largest = Max(AsFloat(AsBits(in) & 0x7fffffffU), largest);
    nan += in * 0.0F;
  }
  constexpr uint32_t kExponent = 0x7f800000U;
  constexpr uint32_t kLeast = 15U << 23;  // the power is not subnormal
  uint32_t exponent = AsBits(Splat(MaxLane(largest)))[0] & kExponent;
  if (exponent < kLeast) exponent = kLeast;
  *power = AsFloat(UintVec{exponent - (14U << 23)})[0] + Sum(nan);
  const float inverse = AsFloat(UintVec{(268U << 23) - exponent})[0];
  const Vec shifter = Splat(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  IntVec sums = {};
  for (int k = 0; k < shape.group; k += kLanes) {
    const Vec in = Max(Load(x + k) * inverse, Splat(-32768.0F));  // NaN becomes it
    const Vec rounded = (in < 32767.0F ? in : Splat(32767.0F)) + shifter;
    IntVec whole = reinterpret_cast<IntVec>(AsBits(rounded) - AsBits(shifter));
    sums += whole;
    if (shape.bits == 8) whole = __builtin_shufflevector(whole, whole, 0, 2, 1, 3, 4, 6, 5, 7);
    const HalfVec narrow = __builtin_convertvector(whole, HalfVec);
    std::memcpy(integers + k, &narrow, sizeof(narrow));
  }
  int32_t sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += sums[lane];
  return sum;
}

static void PackGroups(const float* x, const QuantizedShape& shape, float* packed) {
  const GroupPlaces places(shape);
  for (int g = 0; g < shape.groups(); ++g) {
    int16_t* const integers = reinterpret_cast<int16_t*>(packed) + g * shape.group;
    const int32_t sum = PackGroup(x + g * shape.group, shape, integers, packed + places.power + g);
    std::memcpy(packed + places.sum + g, &sum, sizeof(sum));
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
