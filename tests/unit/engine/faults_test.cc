// What happens when more goes wrong than one request's step: a device that does not work any more, and
// exceptions on the engine's thread.
#include <atomic>
#include <new>
#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine.h"
#include "server/engine/exceptions.h"
#include "tests/testing/faulty_runner.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(ExceptionsTest, BecomeStatuses) {
  EXPECT_TRUE(CatchExceptions([] {}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(CatchExceptions([] { throw std::bad_alloc(); })));
  const absl::Status error = CatchExceptions([] { throw std::runtime_error("oh"); });
  EXPECT_TRUE(absl::IsInternal(error));
  EXPECT_THAT(std::string(error.message()), HasSubstr("oh"));
  EXPECT_TRUE(absl::IsInternal(CatchExceptions([] { throw 1; })));
}

// A sink one method of which throws.
class ThrowingSink final : public OutputSink {
 public:
  enum class At { kStarted, kToken, kFinished, kFailed };
  explicit ThrowingSink(At at) : at_(at) {}

  void OnStarted(const StartedInfo& /*info*/) override { ThrowIf(At::kStarted); }
  SinkVerdict OnToken(const Token& /*token*/) override {
    ThrowIf(At::kToken);
    return SinkVerdict::kContinue;
  }
  void OnFinished(FinishReason /*reason*/, std::unique_ptr<const interventions::Report> /*report*/) override {
    ThrowIf(At::kFinished);
  }
  void OnFailed(const absl::Status& status) override {
    EXPECT_TRUE(failed.ok()) << "called twice";
    failed = status;
    ThrowIf(At::kFailed);
  }

  absl::Status failed;

 private:
  void ThrowIf(At at) const {
    if (at == at_) throw std::bad_alloc();
  }
  const At at_;
};

TEST(SinkExceptionsTest, EndTheirOwnRequestOnly) {
  for (const auto at : {ThrowingSink::At::kStarted, ThrowingSink::At::kToken, ThrowingSink::At::kFinished,
                        ThrowingSink::At::kFailed}) {
    CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
    const SequenceId other = harness.Add(MakeRequest(TextPrompt(9, 1), 6));
    const auto sink = std::make_shared<ThrowingSink>(at);
    harness.core.Add(MakeSequence(100, MakeRequest(TextPrompt(9, 2), 3), harness.runner.facts()), sink);
    EngineCore::Round round = harness.Round();
    if (at == ThrowingSink::At::kFailed) harness.core.Fail(100, absl::CancelledError("test"), round);
    harness.RunUntilIdle();
    EXPECT_FALSE(sink->failed.ok());
    EXPECT_EQ(sink.use_count(), 1) << "dropped";
    EXPECT_EQ(harness.record(other).finish, FinishReason::kLength);
    EXPECT_EQ(harness.runner.counts().cleared_blocks, 0) << "what was computed is right";
  }
}

TEST(ClearBlocksTest, ThatFailsOnceIsTriedAgain) {
  CoreHarness harness;
  int failures = 2;
  harness.runner.clear_fault = [&] {
    return failures-- > 0 ? absl::InternalError("busy") : absl::OkStatus();
  };
  harness.Add(MakeRequest(TextPrompt(8), 4));
  harness.fault = [](const StepPlan&) { return absl::InternalError("broken"); };
  const EngineCore::Round round = harness.Round();
  EXPECT_TRUE(round.fatal.ok());
  EXPECT_EQ(harness.core.scheduler().pool().num_tainted(), 0);
  EXPECT_GT(harness.runner.counts().cleared_blocks, 0);
}

TEST(ClearBlocksTest, ThatFailsForGoodIsFatalAndKeepsTheBlocksOutOfUse) {
  CoreHarness harness;
  harness.runner.clear_fault = [] { return absl::InternalError("an illegal memory access"); };
  harness.Add(MakeRequest(TextPrompt(8), 4));
  harness.fault = [](const StepPlan&) { return absl::InternalError("broken"); };
  const EngineCore::Round round = harness.Round();
  EXPECT_EQ(round.step_succeeded, false);
  EXPECT_THAT(std::string(round.fatal.message()), HasSubstr("illegal memory access"));
  EXPECT_EQ(round.last_error, round.fatal);
  EXPECT_THAT(harness.core.scheduler().tainted(), SizeIs(3));
  EXPECT_EQ(harness.core.scheduler().pool().num_available(), harness.runner.facts().num_kv_blocks - 3);
}

TEST(DeviceTest, FailureOfAStepThatSucceedsAloneIsNotFatal) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(MakeRequest(TextPrompt(8, 1), 4));
  harness.Add(MakeRequest(TextPrompt(8, 2), 4));
  int calls = 0;
  harness.fault = [&calls](const StepPlan&) {
    return ++calls == 1 ? absl::InternalError("flaky") : absl::OkStatus();
  };
  const EngineCore::Round round = harness.Round();
  EXPECT_EQ(round.step_succeeded, true);
  EXPECT_TRUE(round.fatal.ok());
  EXPECT_THAT(std::string(round.last_error.message()), HasSubstr("flaky"));
}

class BrokenEngineTest : public ::testing::Test {
 protected:
  std::shared_ptr<RecordingSink> Submit(Engine& engine, RecordingSink::Judge judge = nullptr) {
    auto sink = std::make_shared<RecordingSink>(std::move(judge));
    EXPECT_TRUE(engine.Submit({{MakeRequest(TextPrompt(8, ++seed_), 100), sink}}).ok());
    return sink;
  }
  // The engine has broken, has failed every request, and takes no more.
  static void CheckBroken(Engine& engine, const std::string& why) {
    EXPECT_TRUE(engine.Drain(absl::InfiniteFuture())) << "nothing is left";
    EXPECT_THAT(std::string(engine.health().fatal.message()), HasSubstr(why));
    EXPECT_FALSE(engine.health().working);
    const auto sink = std::make_shared<RecordingSink>();
    const absl::Status refused = engine.Submit({{MakeRequest(TextPrompt(8), 1), sink}}).status();
    EXPECT_TRUE(absl::IsUnavailable(refused));
    EXPECT_THAT(std::string(refused.message()), HasSubstr(why));
    EXPECT_TRUE(absl::IsUnavailable(engine.Reserve("", absl::InfiniteFuture()).status()));
    engine.Cancel(1);
    engine.Stop();
  }

  FakeClock clock_;
  RecordingObserver observer_;
  int seed_ = 0;
};

TEST_F(BrokenEngineTest, DeviceThatFailsForGood) {
  FakeModelRunner inner(FakeModelRunner::SmallFacts());
  varserve::testing::FaultyRunner runner(&inner, 1);
  Engine engine({.scheduler = {.max_running = 2}}, &runner, &observer_, &clock_);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 5; ++i) sinks.push_back(Submit(engine));
  sinks[0]->WaitForTokens(1);
  runner.BreakDevice();
  for (const auto& sink : sinks) EXPECT_TRUE(sink->WaitUntilEnded().failed.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*sinks.back()->record().failed)) << "waited: another replica may do it";
  CheckBroken(engine, "the device is broken");
  EXPECT_GT(engine.health().failed_steps, 0);
  EXPECT_FALSE(engine.health().last_error.ok());
}

TEST_F(BrokenEngineTest, IdleEngineBreaksWithTheFirstRequest) {
  FakeModelRunner inner(FakeModelRunner::SmallFacts());
  varserve::testing::FaultyRunner runner(&inner, 1);
  runner.BreakDevice();
  Engine engine({}, &runner, &observer_, &clock_);
  EXPECT_TRUE(Submit(engine)->WaitUntilEnded().failed.has_value());
  CheckBroken(engine, "the device is broken");
}

// Throws on the engine's thread, where no request is to blame.
class ThrowingObserver final : public EngineObserver {
 public:
  void OnLoad(const Load& /*load*/) override {
    if (armed) throw std::runtime_error("no room for a gauge");
  }
  void OnPrefixLookup(int64_t, int64_t) override {}
  void OnStep(const Step&) override {}
  void OnCorruptedResult() override {}
  std::atomic<bool> armed = false;
};

TEST_F(BrokenEngineTest, ExceptionOnTheEnginesThread) {
  FakeModelRunner runner(FakeModelRunner::SmallFacts());
  ThrowingObserver observer;
  Engine engine({.scheduler = {.max_running = 1}}, &runner, &observer, &clock_);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int i = 0; i < 4; ++i) sinks.push_back(Submit(engine));
  observer.armed = true;
  for (const auto& sink : sinks) {
    const RecordingSink::Record record = sink->WaitUntilEnded();
    EXPECT_TRUE(record.failed.has_value() || record.finish.has_value());
  }
  EXPECT_TRUE(absl::IsUnavailable(*sinks.back()->record().failed));
  CheckBroken(engine, "no room for a gauge");
}

// Requests that come while the engine breaks fail as well.
TEST_F(BrokenEngineTest, LosesNobodyWhileItBreaks) {
  for (int round = 0; round < 20; ++round) {
    FakeModelRunner runner(FakeModelRunner::SmallFacts());
    ThrowingObserver observer;
    Engine engine({}, &runner, &observer, &clock_);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&engine, t] {
        for (int i = 0;; ++i) {
          const auto sink = std::make_shared<RecordingSink>();
          const auto ids = engine.Submit({{MakeRequest(TextPrompt(8, 100 * t + i), 3), sink}});
          if (absl::IsUnavailable(ids.status())) return;
          if (ids.ok()) sink->WaitUntilEnded();
        }
      });
    }
    while (!engine.health().working) std::this_thread::yield();
    observer.armed = true;
    for (std::thread& thread : threads) thread.join();
    CheckBroken(engine, "no room for a gauge");
  }
}

}  // namespace
}  // namespace varserve::engine
