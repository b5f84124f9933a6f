// What the makers of picture files (picture_files.h) share.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace varserve::testing {

inline std::string Noise(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string noise(size, '\0');
  for (size_t i = 0; i < size; i += 4) {
    const uint32_t value = random();
    for (size_t b = 0; b < 4 && i + b < size; ++b) noise[i + b] = static_cast<char>(value >> (8 * b));
  }
  return noise;
}

// A TIFF block, as in EXIF.
inline std::string Orientation(int orientation) {
  std::string tiff("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0", 26);
  tiff[19] = static_cast<char>(orientation);
  return tiff;
}

}  // namespace varserve::testing
