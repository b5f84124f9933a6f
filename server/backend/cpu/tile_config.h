// Shapes of the tiles, as the instruction LDTILECFG reads them.
#pragma once

#include <cstdint>

namespace varserve::backend::cpu {

inline constexpr int kTiles = 8;
inline constexpr int kTileRows = 16;   // at most
inline constexpr int kTileBytes = 64;  // of a row, at most

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};  // by tile; the second eight are reserved
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace varserve::backend::cpu
