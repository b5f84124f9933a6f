// Images that are encoded in parallel with steps, so that decoding sequences do not wait for them.
#include <gmock/gmock.h>

#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImagesAheadTest : public ::testing::Test {
 protected:
  ImagesAheadTest() {
    harness_.runner.is_encoded = [this] { return encoded_; };
  }
  static ModelFacts Facts() {
    ModelFacts facts = FakeModelRunner::LongContextFacts();
    facts.encodes_ahead = true;
    return facts;
  }
  // A request that decodes from the next step on.
  void Decode(int tokens) {
    harness_.Add(MakeRequest(PromptBuilder().Text(8, 9).Build(), tokens));
    harness_.Round();
  }
  // Requests 2, 3, ... with nothing in common.
  void AddPictures(int count) {
    for (int i = 1; i <= count; ++i) {
      const auto picture = static_cast<uint8_t>(i);
      harness_.Add(MakeRequest(PromptBuilder().Text(2, 20 + i).Image(picture, 3, 3).Text(4, 1).Build(), 2));
    }
  }
  int ahead() const { return harness_.runner.counts().encoded_ahead; }

  CoreHarness harness_{Facts(), {.prefill_budget = 8}};
  bool encoded_ = false;
};

TEST_F(ImagesAheadTest, DecodingGoesOnMeanwhile) {
  Decode(20);
  harness_.Add(MakeRequest(PicturePrompt(1), 2));
  EXPECT_THAT(harness_.Plans(3), ElementsAre("1[8,9)", "1[9,10)", "1[10,11)"));
  EXPECT_EQ(ahead(), 1);
  encoded_ = true;
  EXPECT_THAT(harness_.Plans(2), ElementsAre("1[11,12) 2[0,8)+image0", "1[12,13) 2[8,16)"));
  harness_.RunUntilIdle();
  EXPECT_EQ(harness_.runner.counts().encoded_images, 1);
}

TEST_F(ImagesAheadTest, SoDoPromptsThatNeedNone) {
  Decode(20);
  harness_.Add(MakeRequest(PicturePrompt(1), 2));
  harness_.Add(MakeRequest(PromptBuilder().Text(8, 3).Build(), 2));
  EXPECT_THAT(harness_.Plans(1), ElementsAre("1[8,9) 3[0,8)"));
}

TEST_F(ImagesAheadTest, NothingIsAheadWhereNothingDecodes) {
  harness_.Add(MakeRequest(PicturePrompt(1), 2));
  EXPECT_THAT(harness_.Plans(1), ElementsAre("1[0,8)+image0"));
  EXPECT_EQ(ahead(), 0);
}

TEST_F(ImagesAheadTest, AStepWithoutDecodingDoesNotWaitToBeTold) {
  Decode(2);
  harness_.Add(MakeRequest(PicturePrompt(1), 2));
  EXPECT_THAT(harness_.Plans(2), ElementsAre("1[8,9)", "2[0,8)+image0"));
  EXPECT_EQ(ahead(), 1);
  EXPECT_EQ(harness_.runner.counts().encoded_images, 1);
}

TEST_F(ImagesAheadTest, FewAreAhead) {
  Decode(40);
  AddPictures(4);
  harness_.Plans(5);
  EXPECT_EQ(ahead(), static_cast<int>(ImagesAhead::kMost));
  encoded_ = true;
  harness_.RunUntilIdle();
  EXPECT_EQ(harness_.runner.counts().encoded_images, 4);
  for (SequenceId id = 2; id <= 5; ++id) EXPECT_EQ(harness_.record(id).tokens.size(), 2U);
}

TEST_F(ImagesAheadTest, AChunkMayNeedMore) {
  Decode(40);
  PromptBuilder prompt;
  for (uint8_t picture = 1; picture <= 3; ++picture) prompt.Image(picture, 1, 2);
  harness_.Add(MakeRequest(prompt.Text(4, 1).Build(), 2));
  harness_.Plans(1);
  EXPECT_EQ(ahead(), 3);
  encoded_ = true;
  EXPECT_THAT(harness_.Plans(1), ElementsAre(HasSubstr("2[0,6)+image0+image1+image2")));
}

TEST_F(ImagesAheadTest, ThoseOfEndedRequestsMakeRoom) {
  Decode(40);
  AddPictures(4);
  harness_.Plans(1);
  EngineCore::Round round;
  for (const SequenceId id : {2, 3}) harness_.core.Fail(id, absl::CancelledError("test"), round);
  harness_.Plans(2);
  EXPECT_EQ(ahead(), 4);
}

TEST_F(ImagesAheadTest, ASiblingsImageIsAheadToo) {
  Decode(40);
  harness_.Add(WithSibling(MakeRequest(PicturePrompt(1), 2), PicturePrompt(2)));
  harness_.Plans(2);
  encoded_ = true;
  harness_.Plans(8);
  EXPECT_EQ(ahead(), 2);
  EXPECT_EQ(harness_.record(2).tokens.size(), 2U);
}

TEST_F(ImagesAheadTest, AFailedStepDoesNotBeginThemAgain) {
  Decode(20);
  harness_.Add(MakeRequest(PicturePrompt(1), 2));
  int steps = 0;
  harness_.fault = [&](const StepPlan&) {
    return ++steps == 1 ? absl::InternalError("once") : absl::OkStatus();
  };
  harness_.Plans(2);
  EXPECT_EQ(ahead(), 1);
}

}  // namespace
}  // namespace varserve::engine
