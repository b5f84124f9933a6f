// Pictures that the vision tower sees in tiles of one size: how many, and how they lie.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/base/image_layout.h"
#include "server/image/image_resize.h"
#include "server/image/rgb_image.h"

namespace varserve::image {

inline constexpr int kMostTiles = 1 << 8;  // that any file may ask for

struct TileArrangement {
  int down = 1;  // tiles
  int across = 1;

  int count() const { return down * across; }
  bool operator==(const TileArrangement&) const = default;
};

// Of all arrangements of min_tiles to max_tiles tiles, the one whose shape is closest to the picture's. Of
// equally close ones the one with more tiles, as long as the picture has more than half of the tiles' pixels.
// Sizes in pixels. As transformers' get_optimal_tiled_canvas.
TileArrangement ClosestTiles(int width, int height, int tile_width, int tile_height, int min_tiles,
                             int max_tiles);

// Of the arrangements of tiles with `tile` pixels a side, the one in which a picture that keeps its shape has
// the most pixels, at most its own; of equal ones the first of those that waste the least. As transformers'
// select_best_resolution. There is at least one.
TileArrangement BestTiles(int width, int height, int tile, absl::Span<const TileArrangement> arrangements);

// The visual tokens of the tiles, each of which has rows x cols, and of the thumbnail that several tiles
// have.
TileGrid GridOf(const TileArrangement& tiles, int rows, int cols);

// INVALID_ARGUMENT naming --max_image_tokens if a tile alone has more tokens.
absl::Status CheckTileFits(int max_image_tokens, int tile_tokens);

// Appends the tiles of a picture to `rgb`, row by row, one below the other. The arrangement divides the
// picture's sides.
void AppendTiles(const RgbImage& picture, const TileArrangement& tiles, std::vector<uint8_t>& rgb);

// The picture of `tiles`, resized to one tile of height x width pixels.
ResizePlan ThumbnailPlan(const ResizePlan& tiles, int height, int width);

// Passes a picture on to its tiles and to its thumbnail.
class TilesAndThumbnail final : public RowSink {
 public:
  TilesAndThumbnail(ImageResizer& tiles, ImageResizer& thumbnail) : tiles_(tiles), thumbnail_(thumbnail) {}

  void AddRow(const uint8_t* rgb) override {
    tiles_.AddRow(rgb);
    thumbnail_.AddRow(rgb);
  }

 private:
  ImageResizer& tiles_;
  ImageResizer& thumbnail_;
};

}  // namespace varserve::image
