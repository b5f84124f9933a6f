#include "tools/calibrate/samples.h"

#include <gmock/gmock.h>

#include <numeric>

namespace varserve::calibrate {
namespace {

TEST(SamplesTest, PicturesDifferAndAreTheSameEveryTime) {
  const auto pictures = SamplePictures();
  const auto again = SamplePictures();
  for (size_t i = 0; i < pictures.size(); ++i) {
    EXPECT_EQ(pictures[i].rgb.size(), size_t{3} * pictures[i].width * pictures[i].height);
    EXPECT_EQ(pictures[i].rgb, again[i].rgb);
    for (size_t k = 0; k < i; ++k) EXPECT_NE(pictures[i].rgb, pictures[k].rgb) << i << " and " << k;
  }
  // On every machine: nothing in it is left to a library's taste.
  EXPECT_EQ(std::accumulate(pictures[0].rgb.begin(), pictures[0].rgb.end(), uint64_t{0}), 70054018U);
}

TEST(SamplesTest, QuestionsAreLong) {
  for (const std::string& question : SampleQuestions()) EXPECT_GT(question.size(), 90U) << question;
}

}  // namespace
}  // namespace varserve::calibrate
