#include "server/model/rope_positions.h"

#include <algorithm>

namespace varserve::model {

std::array<int64_t, 3> RopePositions::At(int token) const {
  int64_t position = token;
  if (mrope_) {
    for (const ImageSpan& span : prompt_.spans) {
      if (token < span.begin) break;
      const int rows = span.layout->rows;
      const int cols = span.layout->cols;
      if (token < span.end) {
        const int index = token - span.begin;
        const int64_t start = position - index;
        return {start, start + index / cols, start + index % cols};
      }
      position += std::max(rows, cols) - (span.end - span.begin);
    }
  }
  return {position, position, position};
}

}  // namespace varserve::model
