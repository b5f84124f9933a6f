#include "server/base/pixel_noise.h"

#include <cmath>
#include <numbers>

namespace varserve {
namespace {

// In (0, 1): the count-th output of SplitMix64 (Steele, Lea, Flood 2014).
double Uniform(uint64_t seed, uint64_t count) {
  uint64_t z = seed + (count + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return (static_cast<double>(z >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

void AddNoise(const PixelNoise& noise, absl::Span<float> pixels) {
  const auto mix = [&](float& pixel, double normal) {
    pixel = noise.signal * pixel + noise.noise * static_cast<float>(normal);
  };
  // Two at a time (Box, Muller 1958).
  for (size_t i = 0; i < pixels.size(); i += 2) {
    const double radius = std::sqrt(-2.0 * std::log(Uniform(noise.seed, i)));
    const double angle = 2.0 * std::numbers::pi * Uniform(noise.seed, i + 1);
    mix(pixels[i], radius * std::cos(angle));
    if (i + 1 < pixels.size()) mix(pixels[i + 1], radius * std::sin(angle));
  }
}

}  // namespace varserve
