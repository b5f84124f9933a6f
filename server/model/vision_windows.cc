#include "server/model/vision_windows.h"

#include <cstddef>

namespace varserve::model {
namespace {

// Cuts the rectangle at (top, left) into windows of height x width, which divide it.
void AddGroup(int top, int bottom, int left, int right, int height, int width, int cols, WindowOrder& order) {
  if (top == bottom || left == right) return;
  WindowGroup group{.tokens = int64_t{height} * width};
  for (int y = top; y < bottom; y += height) {
    for (int x = left; x < right; x += width) {
      ++group.windows;
      for (int row = y; row < y + height; ++row) {
        for (int col = x; col < x + width; ++col) order.tokens.push_back(int64_t{row} * cols + col);
      }
    }
  }
  order.groups.push_back(group);
}

}  // namespace

WindowOrder OrderByWindows(int rows, int cols, int side) {
  WindowOrder order;
  order.tokens.reserve(static_cast<size_t>(rows) * cols);
  const int bottom = rows / side * side;
  const int right = cols / side * side;
  AddGroup(0, bottom, 0, right, side, side, cols, order);
  AddGroup(0, bottom, right, cols, side, cols - right, cols, order);
  AddGroup(bottom, rows, 0, right, rows - bottom, side, cols, order);
  AddGroup(bottom, rows, right, cols, rows - bottom, cols - right, cols, order);
  return order;
}

}  // namespace varserve::model
