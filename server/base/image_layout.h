// The tokens of one image in the prompt. A family's image processor creates the layout; images of equal size
// share it. Plain data, immutable once built.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
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
  bool thumbnail = false;  // one more tile shows the whole image: the last, or the first of JoinedTiles

  int num_tiles() const { return down * across + (thumbnail ? 1 : 0); }
  int num_visual_tokens() const { return num_tiles() * rows * cols; }
};

// An image whose tiles' features are joined to one grid (LLaVA-NeXT, LLaVA-OneVision). First come the visual
// tokens of the thumbnail, then the rows of the grid, each with a newline after it. Without tiles
// (down 0) the image is its thumbnail, with one newline after it.
struct JoinedTiles {
  TileGrid tiles;
  // The part of all tiles' features, in their middle, that shows the picture and not its padding.
  int kept_rows = 0;
  int kept_cols = 0;
  int rows = 0;  // what that part is resized to: the grid of visual tokens
  int cols = 0;
};

// Text that a processor writes around the tiles of an image (SmolVLM), as tokens of the vocabulary.
struct TileText {
  std::vector<std::vector<int32_t>> before;  // [tiles] in front of each tile's visual tokens
  std::vector<int32_t> after;                // the last tile's
};

// The tokens that replace the image's placeholder in the prompt. Visual tokens are those that the vision
// tower computes; they have the placeholder's id. Newlines, which JoinedTiles have, are text that belongs to
// the image, with the same id; so is TileText, with its own. rows x cols visual tokens form a grid over the
// image. Where the model also sees the whole image as one thumbnail, its visual tokens form a second grid
// over the image. Others, such as a class token, have no place in the image.
struct ImageLayout {
  std::vector<int32_t> token_ids;
  std::vector<VisualRun> runs;
  int rows = 0;
  int cols = 0;
  int thumbnail_rows = 0;  // 0: the image has no thumbnail
  int thumbnail_cols = 0;
  // [visual tokens] Each one's cell: the grid's are numbered row by row, then the thumbnail's. -1: none.
  std::vector<int> cells;
  std::optional<JoinedTiles> joined;

  // The last grid_rows x grid_cols of `tokens` visual tokens are the grid, row by row.
  ImageLayout(int tokens, int32_t placeholder, int grid_rows, int grid_cols)
      : rows(grid_rows), cols(grid_cols) {
    AddVisualTokens(tokens, placeholder);
    const int first = tokens - rows * cols;
    for (int i = 0; i < tokens; ++i) cells.push_back(std::max(i - first, -1));
  }

  // A grid whose visual tokens go column by column.
  static ImageLayout ByColumns(int32_t placeholder, int grid_rows, int grid_cols) {
    ImageLayout layout(grid_rows * grid_cols, placeholder, grid_rows, grid_cols);
    for (int i = 0; i < layout.size(); ++i) layout.cells[i] = i % grid_rows * grid_cols + i / grid_rows;
    return layout;
  }

  ImageLayout(int32_t placeholder, const TileGrid& tiles, const TileText& text = {})
      : rows(tiles.down * tiles.rows), cols(tiles.across * tiles.cols) {
    for (int tile = 0; tile < tiles.num_tiles(); ++tile) {
      if (!text.before.empty()) AddText(text.before[tile]);
      AddVisualTokens(tiles.rows * tiles.cols, placeholder);
    }
    AddText(text.after);
    for (int tile = 0; tile < tiles.down * tiles.across; ++tile) {
      const int top = tile / tiles.across * tiles.rows;
      const int left = tile % tiles.across * tiles.cols;
      for (int i = 0; i < tiles.rows * tiles.cols; ++i) {
        cells.push_back((top + i / tiles.cols) * cols + left + i % tiles.cols);
      }
    }
    if (tiles.thumbnail) AddThumbnailCells(tiles);
  }

  // Where no feature of the tiles is kept, the thumbnail is the grid; rows of nothing keep their newlines.
  ImageLayout(int32_t placeholder, const JoinedTiles& tiles)
      : rows(tiles.rows), cols(tiles.cols), joined(tiles) {
    AddVisualTokens(tiles.tiles.rows * tiles.tiles.cols, placeholder);
    for (int row = 0; row < tiles.rows; ++row) {
      AddVisualTokens(tiles.cols, placeholder);
      token_ids.push_back(placeholder);
    }
    if (tiles.tiles.down == 0) token_ids.push_back(placeholder);
    if (num_grid_cells() == 0) {
      rows = tiles.tiles.rows;
      cols = tiles.tiles.cols;
    } else {
      AddThumbnailCells(tiles.tiles);
    }
    for (int i = 0; i < num_grid_cells(); ++i) cells.push_back(i);
  }

  int size() const { return static_cast<int>(token_ids.size()); }
  int num_visual_tokens() const {
    return runs.empty() ? 0 : runs.back().index + runs.back().end - runs.back().begin;
  }
  int num_grid_cells() const { return rows * cols; }
  int num_cells() const { return rows * cols + thumbnail_rows * thumbnail_cols; }

 private:
  void AddText(const std::vector<int32_t>& tokens) {
    token_ids.insert(token_ids.end(), tokens.begin(), tokens.end());
  }
  void AddVisualTokens(int count, int32_t placeholder) {
    if (count == 0) return;
    if (runs.empty() || runs.back().end != size()) runs.push_back({size(), size(), num_visual_tokens()});
    token_ids.insert(token_ids.end(), count, placeholder);
    runs.back().end = size();
  }
  void AddThumbnailCells(const TileGrid& tiles) {
    thumbnail_rows = tiles.rows;
    thumbnail_cols = tiles.cols;
    for (int i = 0; i < tiles.rows * tiles.cols; ++i) cells.push_back(num_grid_cells() + i);
  }
};

}  // namespace varserve
