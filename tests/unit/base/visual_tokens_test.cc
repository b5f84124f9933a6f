#include "server/base/visual_tokens.h"

#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/prompt_builder.h"

namespace varserve {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using varserve::testing::kImagePlaceholder;
using varserve::testing::MakeLayout;
using varserve::testing::MakeLayoutWithNewlines;
using varserve::testing::PromptBuilder;

TEST(ImageLayoutTest, CountsVisualTokensAcrossNewlines) {
  const auto layout = MakeLayoutWithNewlines(2, 3);
  EXPECT_EQ(layout->size(), 8);
  EXPECT_EQ(layout->num_visual_tokens(), 6);
  EXPECT_THAT(layout->cells, ElementsAre(0, 1, 2, 3, 4, 5));
  ASSERT_EQ(layout->runs.size(), 2u);
  EXPECT_EQ(std::tuple(layout->runs[1].begin, layout->runs[1].end, layout->runs[1].index),
            std::tuple(4, 7, 3));
  EXPECT_THAT(MakeLayout(5, 2, 2)->cells, ElementsAre(-1, 0, 1, 2, 3))
      << "a class token comes before the grid";
}

// 1 x 2 tiles of 2 x 2 visual tokens, and the thumbnail.
TEST(ImageLayoutTest, TilesLieInTheirPlaces) {
  const ImageLayout layout(kImagePlaceholder,
                           TileGrid{.down = 1, .across = 2, .rows = 2, .cols = 2, .thumbnail = true});
  EXPECT_EQ(std::tuple(layout.rows, layout.cols, layout.thumbnail_rows, layout.thumbnail_cols),
            std::tuple(2, 4, 2, 2));
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(layout.num_cells(), 12);
}

TEST(ImageLayoutTest, VisualTokensMayGoColumnByColumn) {
  const ImageLayout layout = ImageLayout::ByColumns(kImagePlaceholder, 2, 3);
  EXPECT_EQ(std::tuple(layout.size(), layout.rows, layout.cols), std::tuple(6, 2, 3));
  EXPECT_THAT(layout.cells, ElementsAre(0, 3, 1, 4, 2, 5));
}

// 2 x 1 tiles of 1 x 3, without a thumbnail.
TEST(ImageLayoutTest, TilesBelowEachOtherAreOneGrid) {
  const ImageLayout layout(kImagePlaceholder, TileGrid{.down = 2, .across = 1, .rows = 1, .cols = 3});
  EXPECT_EQ(std::tuple(layout.rows, layout.cols, layout.thumbnail_rows), std::tuple(2, 3, 0));
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 2, 3, 4, 5));
}

// 1 x 2 tiles of 1 x 2 visual tokens and the thumbnail, with text of their own.
TEST(ImageLayoutTest, TextAroundTilesIsNotVisual) {
  const ImageLayout layout(kImagePlaceholder,
                           TileGrid{.down = 1, .across = 2, .rows = 1, .cols = 2, .thumbnail = true},
                           {.before = {{5}, {}, {6, 7}}, .after = {8}});
  constexpr int kV = kImagePlaceholder;
  EXPECT_THAT(layout.token_ids, ElementsAre(5, kV, kV, kV, kV, 6, 7, kV, kV, 8));
  EXPECT_EQ(layout.num_visual_tokens(), 6);
  ASSERT_EQ(layout.runs.size(), 2u);
  EXPECT_EQ(std::tuple(layout.runs[0].begin, layout.runs[0].end, layout.runs[0].index), std::tuple(1, 5, 0));
  EXPECT_EQ(std::tuple(layout.runs[1].begin, layout.runs[1].end, layout.runs[1].index), std::tuple(7, 9, 4));
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 2, 3, 4, 5));
}

// A thumbnail of 2 x 2, then of 1 x 2 such tiles the middle 2 x 3, with newlines.
TEST(ImageLayoutTest, JoinedTilesComeAfterTheThumbnail) {
  const JoinedTiles tiles{.tiles = {.down = 1, .across = 2, .rows = 2, .cols = 2, .thumbnail = true},
                          .kept_rows = 2,
                          .kept_cols = 3,
                          .rows = 2,
                          .cols = 3};
  const ImageLayout layout(kImagePlaceholder, tiles);
  EXPECT_THAT(layout.token_ids, Each(kImagePlaceholder));
  EXPECT_EQ(layout.size(), 12);
  ASSERT_EQ(layout.runs.size(), 2u);
  EXPECT_EQ(std::tuple(layout.runs[0].begin, layout.runs[0].end, layout.runs[0].index), std::tuple(0, 7, 0));
  EXPECT_EQ(std::tuple(layout.runs[1].begin, layout.runs[1].end, layout.runs[1].index), std::tuple(8, 11, 7));
  EXPECT_EQ(std::tuple(layout.rows, layout.cols, layout.thumbnail_rows, layout.thumbnail_cols),
            std::tuple(2, 3, 2, 2));
  EXPECT_THAT(layout.cells, ElementsAre(6, 7, 8, 9, 0, 1, 2, 3, 4, 5));
}

// Of a very thin picture no feature is kept; a picture among several has no tiles, but a newline.
TEST(ImageLayoutTest, TheThumbnailAloneIsTheGrid) {
  const TileGrid tiles{.down = 1, .across = 2, .rows = 2, .cols = 2, .thumbnail = true};
  const ImageLayout thin(kImagePlaceholder, JoinedTiles{.tiles = tiles, .kept_cols = 4, .cols = 4});
  EXPECT_EQ(std::tuple(thin.size(), thin.num_visual_tokens()), std::tuple(4, 4));
  EXPECT_EQ(std::tuple(thin.rows, thin.cols, thin.thumbnail_rows), std::tuple(2, 2, 0));
  EXPECT_THAT(thin.cells, ElementsAre(0, 1, 2, 3));

  const ImageLayout narrow(kImagePlaceholder, JoinedTiles{.tiles = tiles, .kept_rows = 2, .rows = 2});
  EXPECT_EQ(std::tuple(narrow.size(), narrow.num_visual_tokens(), narrow.rows), std::tuple(6, 4, 2));
  EXPECT_THAT(narrow.cells, ElementsAre(0, 1, 2, 3));

  const TileGrid none{.down = 0, .across = 0, .rows = 2, .cols = 2, .thumbnail = true};
  const ImageLayout untiled(kImagePlaceholder, JoinedTiles{.tiles = none});
  EXPECT_EQ(std::tuple(untiled.size(), untiled.num_visual_tokens()), std::tuple(5, 4));
  EXPECT_THAT(untiled.cells, ElementsAre(0, 1, 2, 3));
}

// Text 0 and 1; an image at 2..9 with newlines at 5 and 9; text 10; an image at 11..14; text 15.
class VisualTokensTest : public ::testing::Test {
 protected:
  const std::shared_ptr<const Prompt> prompt_ =
      PromptBuilder().Text(2).Image(1, MakeLayoutWithNewlines(2, 3)).Text(1).Image(2, 2, 2).Text(1).Build();
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
