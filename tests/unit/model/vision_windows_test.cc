#include "server/model/vision_windows.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

namespace varserve::model {
namespace {

using ::testing::ElementsAre;

TEST(VisionWindowsTest, WholeWindowsComeFirstThenThoseAtTheEdges) {
  const WindowOrder order = OrderByWindows(3, 5, 2);
  EXPECT_THAT(order.tokens, ElementsAre(0, 1, 5, 6, 2, 3, 7, 8,  // two whole ones
                                        4, 9,                    // at the right
                                        10, 11, 12, 13,          // two at the bottom
                                        14));                    // the corner
  std::vector<std::pair<int64_t, int64_t>> groups;
  for (const WindowGroup& group : order.groups) groups.emplace_back(group.windows, group.tokens);
  EXPECT_THAT(groups, ElementsAre(std::pair(2, 4), std::pair(1, 2), std::pair(2, 2), std::pair(1, 1)));
}

TEST(VisionWindowsTest, EveryTokenIsInOneWindowOfItsOwnPartOfTheGrid) {
  for (const int rows : {1, 4, 7, 8, 13}) {
    for (const int cols : {1, 3, 8, 9}) {
      const int side = 4;
      const WindowOrder order = OrderByWindows(rows, cols, side);
      std::vector<int64_t> sorted = order.tokens;
      std::sort(sorted.begin(), sorted.end());
      for (int i = 0; i < rows * cols; ++i) ASSERT_EQ(sorted[i], i);
      size_t first = 0;
      for (const WindowGroup& group : order.groups) {
        for (int64_t window = 0; window < group.windows; ++window, first += group.tokens) {
          std::set<std::pair<int64_t, int64_t>> places;
          for (int64_t i = 0; i < group.tokens; ++i) {
            const int64_t token = order.tokens[first + i];
            places.emplace(token / cols / side, token % cols / side);
          }
          EXPECT_EQ(places.size(), 1u);
        }
      }
      EXPECT_EQ(first, order.tokens.size());
    }
  }
}

TEST(VisionWindowsTest, OneWindowHoldsAll) {
  const WindowOrder order = OrderByWindows(2, 3, 3);
  EXPECT_THAT(order.tokens, ElementsAre(0, 1, 2, 3, 4, 5));
  ASSERT_EQ(order.groups.size(), 1u);
  EXPECT_EQ(order.groups[0].tokens, 6);
}

}  // namespace
}  // namespace varserve::model
