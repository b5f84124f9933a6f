// Images in prompts of tests, without a picture.
#pragma once

#include <cstdint>
#include <memory>

#include "server/base/prompt.h"

namespace varserve::testing {

inline constexpr int32_t kImagePlaceholder = 999;

// `tokens` visual tokens, of which the last rows x cols are the grid.
inline std::shared_ptr<const ImageLayout> MakeLayout(int tokens, int rows, int cols,
                                                     int32_t placeholder = kImagePlaceholder) {
  return std::make_shared<const ImageLayout>(tokens, placeholder, rows, cols);
}

// A grid with a newline after each row.
inline std::shared_ptr<const ImageLayout> MakeLayoutWithNewlines(int rows, int cols,
                                                                 int32_t placeholder = kImagePlaceholder) {
  return std::make_shared<const ImageLayout>(placeholder, JoinedTiles{.rows = rows, .cols = cols});
}

inline ImageSpan MakeSpan(int begin, int end, int rows, int cols) {
  return {.begin = begin, .end = end, .layout = MakeLayout(end - begin, rows, cols)};
}

}  // namespace varserve::testing
