// Made-up logits to sample from.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace varserve::model {

inline std::vector<float> RandomLogits(size_t n, uint32_t seed, float scale = 3.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
}

// Logits of many shapes: spread and flat, with ties, with tokens that are ruled out, with one that stands
// out.
inline std::vector<float> ShapedLogits(size_t n, int shape, uint32_t seed) {
  static constexpr float kScales[] = {0.01F, 1.0F, 3.0F, 10.0F};
  std::vector<float> logits = RandomLogits(n, seed, kScales[seed % 4]);
  std::mt19937 random(seed);
  switch (shape) {
    case 0:
      break;
    case 1:
      for (float& x : logits) x = std::round(x);
      break;
    case 2:
      std::fill(logits.begin(), logits.end(), -2.5F);
      break;
    case 3:
      for (size_t i = 1; i < n; ++i) {
        if (random() % 3 == 0) logits[i] = -INFINITY;
      }
      break;
    case 4:
      logits[random() % n] += 40.0F;
      break;
    default:
      for (float& x : logits) x = x > 0 ? 1e-30F : -3000.0F;
  }
  return logits;
}

}  // namespace varserve::model
