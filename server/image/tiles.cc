#include "server/image/tiles.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"

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

TileArrangement BestTiles(int width, int height, int tile, absl::Span<const TileArrangement> arrangements) {
  TileArrangement best;
  int64_t most_pixels = -1;
  int64_t least_waste = 0;
  for (const TileArrangement& tiles : arrangements) {
    const int64_t across = int64_t{tiles.across} * tile;
    const int64_t down = int64_t{tiles.down} * tile;
    const double scale = std::min(static_cast<double>(across) / width, static_cast<double>(down) / height);
    const int64_t resized = static_cast<int64_t>(width * scale) * static_cast<int64_t>(height * scale);
    const int64_t pixels = std::min(resized, int64_t{width} * height);
    const int64_t waste = across * down - pixels;
    if (pixels < most_pixels || (pixels == most_pixels && waste >= least_waste)) continue;
    best = tiles;
    most_pixels = pixels;
    least_waste = waste;
  }
  return best;
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

TileGrid GridOf(const TileArrangement& tiles, int rows, int cols) {
  return {
      .down = tiles.down, .across = tiles.across, .rows = rows, .cols = cols, .thumbnail = tiles.count() > 1};
}

absl::Status CheckTileFits(int max_image_tokens, int tile_tokens) {
  if (max_image_tokens >= tile_tokens) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--max_image_tokens: is ", max_image_tokens,
                                                 ", but a tile of a picture has ", tile_tokens, " tokens"));
}

ResizePlan ThumbnailPlan(const ResizePlan& tiles, int height, int width) {
  ResizePlan thumbnail = tiles;
  thumbnail.x.resized = thumbnail.x.count = width;
  thumbnail.y.resized = thumbnail.y.count = height;
  return thumbnail;
}

}  // namespace varserve::image
