#include "server/base/visual_tokens.h"

#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/prompt_builder.h"

namespace varserve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using varserve::testing::kImagePlaceholder;
using varserve::testing::MakeLayout;
using varserve::testing::MakeSeparatedLayout;
using varserve::testing::PromptBuilder;

TEST(ImageLayoutTest, CountsVisualTokensAcrossSeparators) {
  const auto layout = MakeSeparatedLayout(2, 3);
  EXPECT_EQ(layout->size(), 8);
  EXPECT_EQ(layout->num_visual_tokens(), 6);
  EXPECT_THAT(layout->cells, ElementsAre(0, 1, 2, 3, 4, 5));
  ASSERT_EQ(layout->runs.size(), 2u);
  EXPECT_EQ(std::tuple(layout->runs[1].begin, layout->runs[1].end, layout->runs[1].index),
            std::tuple(4, 7, 3));
  EXPECT_THAT(MakeLayout(5, 2, 2)->cells, ElementsAre(-1, 0, 1, 2, 3))
      << "a class token comes before the grid";
  const ImageLayout none({1, 2}, kImagePlaceholder, 0, 0);
  EXPECT_EQ(none.num_visual_tokens(), 0);
  EXPECT_THAT(none.runs, IsEmpty());
}

// 1 x 2 tiles of 2 x 2 visual tokens, and the thumbnail.
TEST(ImageLayoutTest, TilesLieInTheirPlaces) {
  const ImageLayout layout(std::vector<int32_t>(12, kImagePlaceholder), kImagePlaceholder,
                           TileGrid{.down = 1, .across = 2, .rows = 2, .cols = 2, .thumbnail = true});
  EXPECT_EQ(std::tuple(layout.rows, layout.cols, layout.thumbnail_rows, layout.thumbnail_cols),
            std::tuple(2, 4, 2, 2));
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(layout.num_cells(), 12);
}

// 2 x 1 tiles of 1 x 3, without a thumbnail.
TEST(ImageLayoutTest, TilesBelowEachOtherAreOneGrid) {
  const ImageLayout layout(std::vector<int32_t>(6, kImagePlaceholder), kImagePlaceholder,
                           TileGrid{.down = 2, .across = 1, .rows = 1, .cols = 3});
  EXPECT_EQ(std::tuple(layout.rows, layout.cols, layout.thumbnail_rows), std::tuple(2, 3, 0));
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 2, 3, 4, 5));
}

// Text 0 and 1; an image at 2..9 with separators at 5 and 9; text 10; an image at 11..14; text 15.
class VisualTokensTest : public ::testing::Test {
 protected:
  const std::shared_ptr<const Prompt> prompt_ =
      PromptBuilder().Text(2).Image(1, MakeSeparatedLayout(2, 3)).Text(1).Image(2, 2, 2).Text(1).Build();
};

TEST_F(VisualTokensTest, FindsThemByPosition) {
  std::vector<int> images;
  std::vector<int> indices;
  for (int position = 0; position < prompt_->size() + 2; ++position) {
    images.push_back(FindImage(*prompt_, position).value_or(-1));
    const auto visual = FindVisualToken(*prompt_, position);
    indices.push_back(visual.has_value() ? visual->index : -1);
  }
  EXPECT_THAT(images, ElementsAre(-1, -1, 0, 0, 0, 0, 0, 0, 0, 0, -1, 1, 1, 1, 1, -1, -1, -1));
  EXPECT_THAT(indices, ElementsAre(-1, -1, 0, 1, 2, -1, 3, 4, 5, -1, -1, 0, 1, 2, 3, -1, -1, -1));
  EXPECT_EQ(FindVisualToken(*prompt_, 3)->run_end, 5);
  EXPECT_EQ(FindVisualToken(*prompt_, 6)->run_end, 9);
  EXPECT_EQ(prompt_->prefix_size(), 10);
}

TEST_F(VisualTokensTest, VisitsTheRunsOfARange) {
  const auto runs = [&](int begin, int end) {
    std::vector<std::tuple<int, int, int>> visited;
    ForVisualRuns(prompt_->spans[0], begin, end,
                  [&](int position, int count, int index) { visited.emplace_back(position, count, index); });
    return visited;
  };
  EXPECT_THAT(runs(0, 100), ElementsAre(std::tuple(2, 3, 0), std::tuple(6, 3, 3)));
  EXPECT_THAT(runs(4, 8), ElementsAre(std::tuple(4, 1, 2), std::tuple(6, 2, 3)));
  EXPECT_THAT(runs(5, 6), IsEmpty());
}

}  // namespace
}  // namespace varserve
