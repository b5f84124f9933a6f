#include "tools/calibrate/sink_search.h"

#include <gmock/gmock.h>

#include <random>

namespace varserve::calibrate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Width 4096, as Llama-2-7B: all energy is a root mean square of 64 in one dimension.
constexpr int kWidth = 4096;

std::vector<Magnitude> Largest(std::initializer_list<float> values) {
  std::vector<Magnitude> largest;
  for (const float value : values)
    largest.push_back({.dimension = 100 + static_cast<int32_t>(largest.size()), .value = value});
  return largest;
}

TEST(DominantDimensionsTest, EndWhereValuesDropSteeply) {
  EXPECT_THAT(DominantDimensions(Largest({63.9F, 2.0F, 1.9F}), kWidth), ElementsAre(100));
  // BOS of Llama-2-7B: 2622, 1547, then 157.
  EXPECT_THAT(DominantDimensions(Largest({55.1F, 32.5F, 3.3F, 2.0F}), kWidth), ElementsAre(100, 101));
  EXPECT_THAT(DominantDimensions(Largest({45.0F, 35.0F, 27.0F, 2.0F, 0.5F}), kWidth),
              ElementsAre(100, 101, 102));
}

TEST(DominantDimensionsTest, NoneWithoutASteepDrop) {
  EXPECT_THAT(DominantDimensions(Largest({60.0F, 21.0F, 8.0F, 3.0F}), kWidth), IsEmpty());
  EXPECT_THAT(DominantDimensions(Largest({4.1F, 4.0F, 3.9F, 3.9F}), kWidth), IsEmpty());
  EXPECT_THAT(DominantDimensions({}, kWidth), IsEmpty());
}

TEST(DominantDimensionsTest, NoneWithoutMostOfTheEnergy) {
  // A steep drop, but three quarters of 4096 are a root mean square of 55.4.
  EXPECT_THAT(DominantDimensions(Largest({55.0F, 2.0F, 1.0F}), kWidth), IsEmpty());
  EXPECT_THAT(DominantDimensions(Largest({55.5F, 2.0F, 1.0F}), kWidth), ElementsAre(100));
}

TEST(DominantDimensionsTest, NotThoseAsLargeEverywhere) {
  std::vector<Magnitude> largest = Largest({50.0F, 38.0F, 1.0F});
  largest[1].ordinary = 36.0F;
  EXPECT_THAT(DominantDimensions(largest, kWidth), IsEmpty());  // what is left is too little
  largest[0].value = 62.0F;
  EXPECT_THAT(DominantDimensions(largest, kWidth), ElementsAre(100));
  largest[0].ordinary = 31.0F;  // half as large: it may still mark sinks
  EXPECT_THAT(DominantDimensions(largest, kWidth), ElementsAre(100));
}

TEST(DimensionVoteTest, ElectsWhatAThirdOfTheLayersName) {
  DimensionVote vote;
  vote.Add({{507}, {507}, {507, 247}});
  vote.Add({{507, 17}});
  vote.Add({{507, 17}, {507}});
  EXPECT_DOUBLE_EQ(vote.Shares().at(507), 1.0);
  EXPECT_DOUBLE_EQ(vote.Shares().at(247), 1.0 / 9.0);
  EXPECT_DOUBLE_EQ(vote.Shares().at(17), 0.5);
  EXPECT_THAT(vote.Elected(), ElementsAre(17, 507));
}

TEST(DimensionVoteTest, ALayerHasOneVoteHoweverManyTokens) {
  DimensionVote vote;
  vote.Add(std::vector<std::vector<int32_t>>(100, {3}));
  for (int i = 0; i < 3; ++i) vote.Add({{5}});
  EXPECT_THAT(vote.Elected(), ElementsAre(5));
}

TEST(DimensionVoteTest, ElectsNothingWhereHardlyALayerHasSuchTokens) {
  DimensionVote vote;
  EXPECT_THAT(vote.Elected(), IsEmpty());
  vote.Add({{5}});
  for (int i = 0; i < 9; ++i) vote.Add({});
  EXPECT_THAT(vote.Elected(), ElementsAre(5));
  vote.Add({});
  EXPECT_THAT(vote.Elected(), IsEmpty());
}

TEST(FindGapTest, BetweenTheSinksAndTheRest) {
  const std::optional<Gap> gap = FindGap(std::vector<float>{3, 14, 23.8F, 9, 23.2F, 0.1F, 5, 0.001F}, 23.8F);
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->low, 14.0F);
  EXPECT_EQ(gap->high, 23.2F);
}

// BOS is far above the other sinks, these far above the rest.
TEST(FindGapTest, IsNotTheLargestDifference) {
  const std::optional<Gap> gap = FindGap(std::vector<float>{55, 33, 28, 24, 4, 3, 2}, 55.0F);
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->high, 24.0F);
}

TEST(FindGapTest, LeavesAKnownSinkAbove) {
  const std::vector<float> phi = {60, 15, 14, 8, 7};  // the sink known is the one of 14
  EXPECT_EQ(FindGap(phi, 14.0F)->high, 14.0F);
  EXPECT_EQ(FindGap(phi, 60.0F)->high, 60.0F);
}

TEST(FindGapTest, NoneWhereNothingStandsOut) {
  EXPECT_FALSE(FindGap(std::vector<float>{10, 9.5F, 9, 8.7F, 8}, 10.0F).has_value());
  EXPECT_FALSE(FindGap({}, 10.0F).has_value());
}

TEST(ChooseThresholdTest, IsTheMiddleOfWhatMostGapsHold) {
  const std::optional<Threshold> threshold =
      ChooseThreshold(std::vector<Gap>{{14, 23}, {18, 24}, {10, 22}, {3, 4}, {15, 23.5F}});
  ASSERT_TRUE(threshold.has_value());
  EXPECT_EQ(threshold->range.low, 18.0F);
  EXPECT_EQ(threshold->range.high, 22.0F);
  EXPECT_EQ(threshold->tau, 20.0F);
  EXPECT_DOUBLE_EQ(threshold->agreed, 0.8);
}

// One layer that differs a little does not squeeze tau into a corner.
TEST(ChooseThresholdTest, AFewGapsDoNotNarrowTheRange) {
  std::vector<Gap> gaps(40, {10, 20});
  gaps.push_back({19.9F, 30});
  EXPECT_NEAR(ChooseThreshold(gaps)->tau, 15.0F, 1e-4F);
  EXPECT_FALSE(ChooseThreshold({}).has_value());
}

// Random sinks, random layers: tau lies between all sinks and all others wherever a common one exists.
TEST(ChooseThresholdTest, SeparatesWhereverOneThresholdCan) {
  std::mt19937 random(7);
  const auto draw = [&](float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(random);
  };
  for (int trial = 0; trial < 50; ++trial) {
    const float low = draw(5, 15);
    const float high = draw(1.4F, 3.0F) * low;
    std::vector<Gap> gaps;
    for (int layer = 0; layer < 20; ++layer) {
      std::vector<float> phi;
      for (int t = 0; t < 60; ++t) phi.push_back(draw(0, low));
      for (int t = 0; t < 3; ++t) phi.push_back(draw(high, 1.2F * high));
      if (const auto gap = FindGap(phi, phi.back())) gaps.push_back(*gap);
    }
    const std::optional<Threshold> threshold = ChooseThreshold(gaps);
    ASSERT_TRUE(threshold.has_value());
    EXPECT_GT(threshold->tau, low * 0.95F) << trial;
    EXPECT_LT(threshold->tau, high) << trial;
  }
}

}  // namespace
}  // namespace varserve::calibrate
