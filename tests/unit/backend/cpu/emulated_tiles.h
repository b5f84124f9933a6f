// The tiles of server/backend/cpu/amx_tiles.h in plain C++, for any processor: Intel's definition of the
// instructions, operation by operation. Uses that a processor would fault on abort.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "server/backend/cpu/tile_config.h"
#include "tests/unit/backend/cpu/bfloat16.h"

namespace varserve::backend::cpu {

struct Tile {
  uint8_t bytes[kTileRows][kTileBytes];
};

// One thread's.
struct TileState {
  bool configured = false;
  TileConfig config;
  Tile tiles[kTiles] = {};
};

class EmulatedTiles {
 public:
  static void Configure(const TileConfig& config) {
    Require(config.palette == 1 && config.start_row == 0);
    for (int tile = 0; tile < kTiles; ++tile) {
      Require(config.rows[tile] <= kTileRows && config.row_bytes[tile] <= kTileBytes);
      Require((config.rows[tile] == 0) == (config.row_bytes[tile] == 0));
    }
    state = {.configured = true, .config = config};
  }
  static void Release() { state = {}; }
  static bool Released() { return !state.configured; }

  template <int TILE>
  static void Load(const void* from, int64_t stride) {
    RequireShape(TILE);
    state.tiles[TILE] = {};
    for (int i = 0; i < state.config.rows[TILE]; ++i) {
      std::memcpy(state.tiles[TILE].bytes[i], static_cast<const uint8_t*>(from) + i * stride,
                  state.config.row_bytes[TILE]);
    }
  }
  template <int TILE>
  static void Store(void* to, int64_t stride) {
    RequireShape(TILE);
    for (int i = 0; i < state.config.rows[TILE]; ++i) {
      std::memcpy(static_cast<uint8_t*>(to) + i * stride, state.tiles[TILE].bytes[i],
                  state.config.row_bytes[TILE]);
    }
  }

  // TDPBF16PS: the even inputs' products are one chain of fused multiply-adds from 0, the odd ones' another;
  // their sum is added to what is there.
  template <int SUMS, int INPUTS, int WEIGHTS>
  static void AddProducts() {
    static_assert(SUMS != INPUTS && SUMS != WEIGHTS && INPUTS != WEIGHTS);
    for (const int tile : {SUMS, INPUTS, WEIGHTS}) RequireShape(tile);
    const TileConfig& c = state.config;
    Require(c.rows[SUMS] == c.rows[INPUTS] && c.row_bytes[SUMS] == c.row_bytes[WEIGHTS] &&
            c.row_bytes[INPUTS] == 4 * c.rows[WEIGHTS]);
    const Values inputs = Read(INPUTS);
    const Values weights = Read(WEIGHTS);
    for (int m = 0; m < c.rows[SUMS]; ++m) {
      float chains[2 * kTileBytes / sizeof(float)] = {};  // of all outputs
      for (int k = 0; k < c.rows[WEIGHTS]; ++k) {
        for (int i = 0; i < c.row_bytes[SUMS] / 2; ++i)
          chains[i] = Flushed(std::fma(inputs[m][2 * k + i % 2], weights[k][i], chains[i]));
      }
      for (int n = 0; n < c.row_bytes[SUMS] / 4; ++n) {
        float sum;
        uint8_t* at = state.tiles[SUMS].bytes[m] + n * sizeof(sum);
        std::memcpy(&sum, at, sizeof(sum));
        sum = Flushed(Flushed(sum) + Flushed(chains[2 * n] + chains[2 * n + 1]));
        std::memcpy(at, &sum, sizeof(sum));
      }
    }
  }

 private:
  static void Require(bool valid) {
    if (!valid) std::abort();
  }
  static void RequireShape(int tile) { Require(state.configured && state.config.rows[tile] > 0); }
  // Subnormal numbers count as zeros of their sign, read or computed.
  static float Flushed(float x) {
    return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
  }
  using Values = std::array<std::array<float, kTileBytes / sizeof(uint16_t)>, kTileRows>;
  static Values Read(int tile) {
    Values values;
    for (int row = 0; row < kTileRows; ++row) {
      uint16_t halves[kTileBytes / sizeof(uint16_t)];
      std::memcpy(halves, state.tiles[tile].bytes[row], kTileBytes);
      for (size_t i = 0; i < values[row].size(); ++i) values[row][i] = Flushed(FromBFloat16(halves[i]));
    }
    return values;
  }

  static inline thread_local TileState state;
};

}  // namespace varserve::backend::cpu
