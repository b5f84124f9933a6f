// The tokens of one image in the prompt. A family's image processor creates the layout; images of equal size
// share it. Plain data, immutable once built.
#pragma once

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

// The tokens that replace the image's placeholder in the prompt. Visual tokens, which the vision tower
// computes, have the placeholder's id. Other tokens, such as row separators, are text that belongs to the
// image. The last rows x cols visual tokens form a grid over the image, row by row. Earlier ones, such as a
// class token, have no position in the image.
struct ImageLayout {
  std::vector<int32_t> token_ids;
  std::vector<VisualRun> runs;
  int rows = 0;
  int cols = 0;

  ImageLayout(std::vector<int32_t> tokens, int32_t placeholder, int grid_rows, int grid_cols)
      : token_ids(std::move(tokens)), rows(grid_rows), cols(grid_cols) {
    for (int i = 0; i < size(); ++i) {
      if (token_ids[i] != placeholder) continue;
      if (runs.empty() || runs.back().end != i) runs.push_back({i, i, num_visual_tokens()});
      runs.back().end = i + 1;
    }
  }

  int size() const { return static_cast<int>(token_ids.size()); }
  int num_visual_tokens() const {
    return runs.empty() ? 0 : runs.back().index + runs.back().end - runs.back().begin;
  }
  // Index of the grid's first visual token.
  int grid_begin() const { return num_visual_tokens() - rows * cols; }
};

}  // namespace varserve
