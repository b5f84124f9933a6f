// The order in which Qwen's vision towers compute an image's patches, and which of them attend to each other.
// Pure function, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace varserve::model {

// Windows of equal size follow each other, so that they are one batch of attention.
struct WindowGroup {
  int64_t windows = 0;
  int64_t tokens = 0;  // visual tokens of each
};

struct WindowOrder {
  std::vector<int64_t> tokens;  // [P], index in the grid, row by row, of each visual token in turn
  std::vector<WindowGroup> groups;
};

// Cuts a grid of rows x cols visual tokens into windows of side x side, smaller ones at the right and at the
// bottom (transformers: get_vision_window_index, whose order of windows differs, which changes nothing).
WindowOrder OrderByWindows(int rows, int cols, int side);

}  // namespace varserve::model
