// Pictures that the vision tower sees in tiles of one size: how many, and how they lie.
#pragma once

#include <cstdint>
#include <vector>

#include "server/image/rgb_image.h"

namespace varserve::image {

struct TileArrangement {
  int down = 1;  // tiles
  int across = 1;

  int count() const { return down * across; }
};

// Of all arrangements of min_tiles to max_tiles tiles, the one whose shape is closest to the picture's. Of
// equally close ones the one with more tiles, as long as the picture has more than half of the tiles' pixels.
// Sizes in pixels. As transformers' get_optimal_tiled_canvas.
TileArrangement ClosestTiles(int width, int height, int tile_width, int tile_height, int min_tiles,
                             int max_tiles);

// Appends the tiles of a picture to `rgb`, row by row, one below the other. The arrangement divides the
// picture's sides.
void AppendTiles(const RgbImage& picture, const TileArrangement& tiles, std::vector<uint8_t>& rgb);

}  // namespace varserve::image
