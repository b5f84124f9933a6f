// Tiles of rows. Included only by isa_*.cc.
#pragma once

namespace varserve::backend::cpu::VARSERVE_ISA {

// Calls tile(height) until there are no rows left: tiles of nearly equal height, none above `most`.
template <typename Tile>
[[gnu::always_inline]] static inline void ForRowTiles(int rows, int most, const Tile& tile) {
  for (int tiles = (rows + most - 1) / most; tiles > 0; --tiles) {
    const int height = (rows + tiles - 1) / tiles;
    tile(height);
    rows -= height;
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
