#include "server/model/rope_positions.h"

#include <gmock/gmock.h>

#include "tests/testing/image_span.h"

namespace varserve::model {
namespace {

using Position = std::array<int64_t, 3>;

// Two tokens, 2 x 3 visual tokens, one token, 4 x 1 visual tokens, one token.
Prompt TwoImages() {
  Prompt prompt;
  prompt.token_ids.resize(14);
  prompt.spans = {testing::MakeSpan(2, 8, 2, 3), testing::MakeSpan(9, 13, 4, 1)};
  return prompt;
}

TEST(RopePositionsTest, ImagesCountByRowAndColumnAndTextGoesOnAfterTheLongerSide) {
  const Prompt prompt = TwoImages();
  const RopePositions positions(prompt, /*mrope=*/true);
  const Position expected[] = {{0, 0, 0},    {1, 1, 1},                             // text
                               {2, 2, 2},    {2, 2, 3},    {2, 2, 4},               // image 0
                               {2, 3, 2},    {2, 3, 3},    {2, 3, 4},   {5, 5, 5},  // text
                               {6, 6, 6},    {6, 7, 6},    {6, 8, 6},   {6, 9, 6},  // image 1
                               {10, 10, 10}, {11, 11, 11}, {12, 12, 12}};  // text, two of it generated
  for (int token = 0; token < 16; ++token) EXPECT_EQ(positions.At(token), expected[token]) << token;
}

TEST(RopePositionsTest, WithoutMropeItIsThePlaceInTheSequence) {
  const Prompt prompt = TwoImages();
  const RopePositions positions(prompt, /*mrope=*/false);
  for (int token = 0; token < 16; ++token) EXPECT_EQ(positions.At(token), (Position{token, token, token}));
}

}  // namespace
}  // namespace varserve::model
