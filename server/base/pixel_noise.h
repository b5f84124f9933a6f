// Gaussian noise on the pixels of an image: the same on every machine for the same seed. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace varserve {

// A pixel x becomes signal x + noise n, where n is drawn from the standard normal distribution.
struct PixelNoise {
  float signal = 1.0F;
  float noise = 0.0F;
  uint64_t seed = 0;
};

// pixels: in the vision tower's order, [3, height, width]
void AddNoise(const PixelNoise& noise, absl::Span<float> pixels);

}  // namespace varserve
