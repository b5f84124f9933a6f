#include "server/image/tiles.h"

#include <cmath>
#include <cstddef>
#include <limits>

namespace varserve::image {

TileArrangement ClosestTiles(int width, int height, int tile_width, int tile_height, int min_tiles,
                             int max_tiles) {
  const double shape = static_cast<double>(width) / height;
  const double pixels = static_cast<double>(width) * height;
  double least = std::numeric_limits<double>::infinity();
  TileArrangement closest;
  for (int count = min_tiles; count <= max_tiles; ++count) {
    for (int across = 1; across <= count; ++across) {
      if (count % across != 0) continue;
      const TileArrangement tiles{.down = count / across, .across = across};
      const double difference = std::abs(shape - static_cast<double>(tiles.across) / tiles.down);
      const bool fills = pixels > 0.5 * tile_height * tile_width * count;
      if (difference < least || (difference == least && fills)) closest = tiles;
      if (difference < least) least = difference;
    }
  }
  return closest;
}

void AppendTiles(const RgbImage& picture, const TileArrangement& tiles, std::vector<uint8_t>& rgb) {
  const size_t row_size = static_cast<size_t>(picture.width) * 3;
  const size_t tile_row_size = row_size / tiles.across;
  const size_t tile_height = static_cast<size_t>(picture.height) / tiles.down;
  for (int tile = 0; tile < tiles.count(); ++tile) {
    const size_t top = tile / tiles.across * tile_height;
    const size_t left = tile % tiles.across * tile_row_size;
    for (size_t y = 0; y < tile_height; ++y) {
      const uint8_t* const row = &picture.rgb[(top + y) * row_size + left];
      rgb.insert(rgb.end(), row, row + tile_row_size);
    }
  }
}

}  // namespace varserve::image
