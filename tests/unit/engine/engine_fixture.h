// An engine around a fake runner, for tests of its front and its thread. No test waits for time to pass: the
// clock is set, and steps block on a gate. The test's thread only, but for Submit and the clock.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "tests/testing/gate.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {

class EngineFixture : public ::testing::Test {
 protected:
  void Start(const EngineOptions& options = {}, const ModelFacts& facts = FakeModelRunner::SmallFacts()) {
    runner_ = std::make_unique<FakeModelRunner>(facts);
    runner_->fault = [this](const StepPlan& plan) {
      gate_.Pass();
      clock_.Advance(step_duration_);
      return fault_ ? fault_(plan) : absl::OkStatus();
    };
    engine_ = std::make_unique<Engine>(options, runner_.get(), &observer_, &clock_);
  }

  // After this the thread is gone and everything may be looked at.
  void StopAndCheck() {
    gate_.Open();
    engine_->Stop();
    EXPECT_EQ(runner_->num_sequences(), 0U);
    if (!observer_.loads.empty()) {
      EXPECT_EQ(observer_.loads.back().running, 0);
      EXPECT_EQ(observer_.loads.back().waiting, 0);
      EXPECT_EQ(observer_.loads.back().used_blocks, 0);
    }
  }

  struct Submitted {
    absl::Status status;
    SequenceId id = 0;
    std::shared_ptr<RecordingSink> sink;
  };
  Submitted Submit(GenerationRequest request, RecordingSink::Judge judge = nullptr) {
    auto sink = std::make_shared<RecordingSink>(std::move(judge));
    auto ids = engine_->Submit({{std::move(request), sink}});
    return {ids.status(), ids.ok() ? ids->at(0) : 0, sink};
  }
  // A request whose step waits at the closed gate.
  Submitted SubmitAndBlock(GenerationRequest request) {
    gate_.Close();
    Submitted submitted = Submit(std::move(request));
    gate_.WaitForArrival();
    return submitted;
  }
  // Until new requests are refused because of a drain or stop that another thread has called.
  void WaitUntilShuttingDown() {
    while (!absl::IsUnavailable(Submit(MakeRequest(TextPrompt(8, 3), 1)).status)) std::this_thread::yield();
  }

  FakeClock clock_;
  RecordingObserver observer_;
  varserve::testing::Gate gate_;
  absl::Duration step_duration_;
  std::function<absl::Status(const StepPlan&)> fault_;
  std::unique_ptr<FakeModelRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace varserve::engine
