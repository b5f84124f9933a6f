// Images in prompts of tests, without a picture.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/prompt.h"

namespace varserve::testing {

inline constexpr int32_t kImagePlaceholder = 999;

// `tokens` visual tokens, of which the last rows x cols are the grid.
inline std::shared_ptr<const ImageLayout> MakeLayout(int tokens, int rows, int cols,
                                                     int32_t placeholder = kImagePlaceholder) {
  return std::make_shared<const ImageLayout>(std::vector<int32_t>(tokens, placeholder), placeholder, rows,
                                             cols);
}

// A grid with a separator, token 7, after each row.
inline std::shared_ptr<const ImageLayout> MakeSeparatedLayout(int rows, int cols,
                                                              int32_t placeholder = kImagePlaceholder) {
  std::vector<int32_t> tokens;
  for (int row = 0; row < rows; ++row) {
    tokens.insert(tokens.end(), cols, placeholder);
    tokens.push_back(7);
  }
  return std::make_shared<const ImageLayout>(std::move(tokens), placeholder, rows, cols);
}

inline ImageSpan MakeSpan(int begin, int end, int rows, int cols) {
  return {.begin = begin, .end = end, .layout = MakeLayout(end - begin, rows, cols)};
}

}  // namespace varserve::testing
