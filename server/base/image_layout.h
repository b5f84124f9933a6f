// The tokens of one image in the prompt. A family's image processor creates the layout; images of equal size
// share it. Plain data, immutable once built.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace varserve {

// A run of visual tokens: [begin, end) in ImageLayout::token_ids. `index` is the position of the first one
// among the image's visual tokens.
struct VisualRun {
  int begin = 0;
  int end = 0;
  int index = 0;
};

// An image that the vision tower sees in tiles of one size: its visual tokens are those of the first tile,
// row by row, then those of the tile to its right.
struct TileGrid {
  int down = 1;  // tiles
  int across = 1;
  int rows = 0;  // visual tokens of a tile
  int cols = 0;
  bool thumbnail = false;  // after the tiles comes one more, which shows the whole image

  int num_tiles() const { return down * across + (thumbnail ? 1 : 0); }
  int num_visual_tokens() const { return num_tiles() * rows * cols; }
};

// The tokens that replace the image's placeholder in the prompt. Visual tokens, which the vision tower
// computes, have the placeholder's id. Other tokens, such as row separators, are text that belongs to the
// image. rows x cols visual tokens form a grid over the image. Where the model also sees the whole image as
// one thumbnail, its visual tokens form a second grid over the image. Others, such as a class token, have no
// place in the image.
struct ImageLayout {
  std::vector<int32_t> token_ids;
  std::vector<VisualRun> runs;
  int rows = 0;
  int cols = 0;
  int thumbnail_rows = 0;  // 0: the image has no thumbnail
  int thumbnail_cols = 0;
  // [visual tokens] Each one's cell: the grid's are numbered row by row, then the thumbnail's. -1: none.
  std::vector<int> cells;

  // The last grid_rows x grid_cols visual tokens are the grid, row by row.
  ImageLayout(std::vector<int32_t> tokens, int32_t placeholder, int grid_rows, int grid_cols)
      : token_ids(std::move(tokens)), rows(grid_rows), cols(grid_cols) {
    FindRuns(placeholder);
    const int first = num_visual_tokens() - rows * cols;
    for (int i = 0; i < num_visual_tokens(); ++i) cells.push_back(std::max(i - first, -1));
  }

  // `tokens` have as many visual tokens as `tiles`.
  ImageLayout(std::vector<int32_t> tokens, int32_t placeholder, const TileGrid& tiles)
      : token_ids(std::move(tokens)), rows(tiles.down * tiles.rows), cols(tiles.across * tiles.cols) {
    FindRuns(placeholder);
    for (int tile = 0; tile < tiles.down * tiles.across; ++tile) {
      const int top = tile / tiles.across * tiles.rows;
      const int left = tile % tiles.across * tiles.cols;
      for (int i = 0; i < tiles.rows * tiles.cols; ++i) {
        cells.push_back((top + i / tiles.cols) * cols + left + i % tiles.cols);
      }
    }
    if (!tiles.thumbnail) return;
    thumbnail_rows = tiles.rows;
    thumbnail_cols = tiles.cols;
    for (int i = 0; i < tiles.rows * tiles.cols; ++i) cells.push_back(num_grid_cells() + i);
  }

  int size() const { return static_cast<int>(token_ids.size()); }
  int num_visual_tokens() const {
    return runs.empty() ? 0 : runs.back().index + runs.back().end - runs.back().begin;
  }
  int num_grid_cells() const { return rows * cols; }
  int num_cells() const { return rows * cols + thumbnail_rows * thumbnail_cols; }

 private:
  void FindRuns(int32_t placeholder) {
    for (int i = 0; i < size(); ++i) {
      if (token_ids[i] != placeholder) continue;
      if (runs.empty() || runs.back().end != i) runs.push_back({i, i, num_visual_tokens()});
      runs.back().end = i + 1;
    }
  }
};

}  // namespace varserve
