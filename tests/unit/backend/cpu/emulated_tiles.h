// The tiles of server/backend/cpu/amx_tiles.h in plain C++, for any processor: Intel's definition of the
// instructions, operation by operation. Uses that a processor would fault on abort.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "server/backend/cpu/tile_config.h"

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
    for (int m = 0; m < c.rows[SUMS]; ++m) {
      float chains[2][kTileBytes / sizeof(float)] = {};
      for (int k = 0; k < c.rows[WEIGHTS]; ++k) {
        for (int n = 0; n < c.row_bytes[SUMS] / 4; ++n) {
          for (int i = 0; i < 2; ++i) {
            float& sum = chains[i][n];
            sum = Flushed(std::fma(Input(INPUTS, m, 2 * k + i), Input(WEIGHTS, k, 2 * n + i), sum));
          }
        }
      }
      for (int n = 0; n < c.row_bytes[SUMS] / 4; ++n) {
        float sum;
        uint8_t* at = state.tiles[SUMS].bytes[m] + n * sizeof(sum);
        std::memcpy(&sum, at, sizeof(sum));
        sum = Flushed(Flushed(sum) + Flushed(chains[0][n] + chains[1][n]));
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
  static float Input(int tile, int row, int column) {
    uint16_t half;
    std::memcpy(&half, state.tiles[tile].bytes[row] + column * sizeof(half), sizeof(half));
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float x;
    std::memcpy(&x, &bits, sizeof(x));
    return Flushed(x);
  }

  static inline thread_local TileState state;
};

}  // namespace varserve::backend::cpu
