// The server's question to itself, on the real engine.
#include "server/engine/self_test.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "tests/testing/gate.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

class SelfTestTest : public ::testing::Test {
 protected:
  SelfTestTest() {
    runner_.fault = [this](const StepPlan& /*plan*/) {
      gate_.Pass();
      return broken_ ? absl::InternalError("device lost") : absl::OkStatus();
    };
    engine_ =
        std::make_unique<Engine>(EngineOptions{.queue = {.max_waiting = 1}}, &runner_, &observer_, &clock_);
    self_test_ = std::make_unique<SelfTest>(engine_.get(), PromptBuilder().Image(1, 2, 2).Text(3).Build());
  }
  absl::Status Outcome() {
    std::optional<absl::Status> outcome;
    while (!(outcome = self_test_->TakeOutcome()).has_value()) std::this_thread::yield();
    return *outcome;
  }

  FakeClock clock_;
  RecordingObserver observer_;
  varserve::testing::Gate gate_;
  std::atomic<bool> broken_ = false;
  FakeModelRunner runner_{FakeModelRunner::SmallFacts()};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<SelfTest> self_test_;
};

TEST_F(SelfTestTest, TellsWhetherTheModelAnswers) {
  EXPECT_EQ(self_test_->TakeOutcome(), std::nullopt);
  self_test_->Ask();
  EXPECT_TRUE(Outcome().ok());
  EXPECT_EQ(self_test_->TakeOutcome(), std::nullopt) << "taken once";
  broken_ = true;
  self_test_->Ask();
  EXPECT_EQ(Outcome().code(), absl::StatusCode::kInternal);
  broken_ = false;
  self_test_->Ask();
  EXPECT_TRUE(Outcome().ok());
}

TEST_F(SelfTestTest, OneQuestionAtATime) {
  gate_.Close();
  for (int i = 0; i < 3; ++i) self_test_->Ask();
  gate_.WaitForArrival();
  EXPECT_EQ(self_test_->TakeOutcome(), std::nullopt);
  gate_.Open();
  EXPECT_TRUE(Outcome().ok());
  engine_->Stop();
  EXPECT_EQ(runner_.counts().encoded_images, 1);
}

TEST_F(SelfTestTest, NothingOfItComesFromTheCache) {
  for (int i = 0; i < 3; ++i) {
    self_test_->Ask();
    EXPECT_TRUE(Outcome().ok());
  }
  engine_->Stop();
  EXPECT_EQ(runner_.counts().encoded_images, 3);
  EXPECT_EQ(observer_.hit, 0);
}

}  // namespace
}  // namespace varserve::engine
