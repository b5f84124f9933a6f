// The processor's tiles (AMX): registers of up to 16 rows of 64 bytes, and products of bfloat16 matrices in
// them. Included only by isa_amx_bf16.cc; kernels take the class as a parameter, so that tests can run them
// on an emulation.
#pragma once

#include <cstdint>

#include "server/backend/cpu/tile_config.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Assembler, because GCC's intrinsics take only literal numbers of tiles, and leave out that loads depend on
// memory.
struct AmxTiles {
  // Gives tiles their shapes and zeros.
  static void Configure(const TileConfig& config) { asm volatile("ldtilecfg %0" : : "m"(config)); }
  // Gives the tiles back, so that threads switch as fast as before.
  static void Release() { asm volatile("tilerelease"); }
  // Rows `stride` bytes apart.
  template <int TILE>
  [[gnu::always_inline]] static void Load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(TILE) : "memory");
  }
  template <int TILE>
  [[gnu::always_inline]] static void Store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(TILE) : "memory");
  }
  // SUMS [rows, 16] += INPUTS [rows, 16, 2] WEIGHTS [16, 16, 2]: for each output, the sum of the first of
  // each pair plus the sum of the second, in float32.
  template <int SUMS, int INPUTS, int WEIGHTS>
  [[gnu::always_inline]] static void AddProducts() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(SUMS), "i"(INPUTS), "i"(WEIGHTS));
  }
};

}  // namespace varserve::backend::cpu::VARSERVE_ISA
