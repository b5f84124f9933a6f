// The engine's front and its thread. No test waits for time to pass: the clock is set, and steps block on a
// gate.
#include "server/engine/engine.h"

#include <atomic>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/testing/gate.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using varserve::testing::Gate;

std::shared_ptr<const Prompt> Text(int size, int seed = 0) {
  return PromptBuilder().Text(size, seed).Build();
}

class EngineTest : public ::testing::Test {
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
    while (!absl::IsUnavailable(Submit(MakeRequest(Text(8, 3), 1)).status)) std::this_thread::yield();
  }

  FakeClock clock_;
  RecordingObserver observer_;
  Gate gate_;
  absl::Duration step_duration_;
  std::function<absl::Status(const StepPlan&)> fault_;
  std::unique_ptr<FakeModelRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, GeneratesWhatIsAskedFor) {
  Start();
  const Submitted a = Submit(MakeRequest(Text(20), 5));
  ASSERT_TRUE(a.status.ok());
  EXPECT_THAT(a.sink->WaitUntilEnded().tokens, SizeIs(5));
  const Submitted b = Submit(MakeRequest(Text(20), 5));
  EXPECT_EQ(b.sink->WaitUntilEnded().tokens, a.sink->record().tokens);
  StopAndCheck();
}

TEST_F(EngineTest, GroupSharesItsPrefix) {
  Start();
  const auto prompt = PromptBuilder().Text(5).Image(1, 4, 4).Text(6).Build();
  std::vector<Submission> group;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (const VarSettings& var : {kOff, kOn, kObserve}) {
    sinks.push_back(std::make_shared<RecordingSink>());
    group.push_back({MakeRequest(prompt, 4, var), sinks.back()});
  }
  const auto ids = engine_->Submit(std::move(group));
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(*ids, SizeIs(3));
  for (const auto& sink : sinks) EXPECT_THAT(sink->WaitUntilEnded().tokens, SizeIs(4));
  EXPECT_EQ(sinks[0]->record().tokens, sinks[2]->record().tokens) << "OBSERVE changes nothing";
  StopAndCheck();
  EXPECT_EQ(runner_->counts().encoded_images, 1);
}

TEST_F(EngineTest, RefusesWhatCannotBeServed) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 60;
  facts.num_kv_blocks = 10;
  facts.token_measures = 0;
  Start({}, facts);
  struct Case {
    GenerationRequest request;
    absl::StatusCode code;
    std::string message;
  };
  GenerationRequest expired = MakeRequest(Text(8), 1);
  expired.deadline = clock_.Now();
  const Case cases[] = {
      {MakeRequest(nullptr, 1), absl::StatusCode::kInvalidArgument, "prompt: "},
      {MakeRequest(Text(0), 1), absl::StatusCode::kInvalidArgument, "prompt: "},
      {MakeRequest(Text(60), 1), absl::StatusCode::kInvalidArgument, "prompt: has 60 tokens"},
      {MakeRequest(Text(8), 0), absl::StatusCode::kInvalidArgument, "max_tokens: "},
      {MakeRequest(Text(8), 1, kOn), absl::StatusCode::kFailedPrecondition, "var.mode: "},
      {MakeRequest(Text(8), 1, {.mode = Mode::kOn, .last_layer = 4}), absl::StatusCode::kInvalidArgument,
       "var.last_layer: "},
      {MakeRequest(Text(8), 34), absl::StatusCode::kResourceExhausted,
       "max_tokens: prompt and answer take 11 KV blocks"},
      {expired, absl::StatusCode::kDeadlineExceeded, "deadline: "},
  };
  for (const Case& c : cases) {
    const Submitted submitted = Submit(c.request);
    EXPECT_EQ(submitted.status.code(), c.code) << c.message;
    EXPECT_THAT(std::string(submitted.status.message()), HasSubstr(c.message));
    EXPECT_FALSE(GetRetryDelay(submitted.status).has_value()) << "to try again does not help";
    EXPECT_FALSE(submitted.sink->record().ended());
  }
  EXPECT_TRUE(Submit(MakeRequest(Text(8), 33)).status.ok()) << "10 blocks";
  EXPECT_TRUE(Submit(MakeRequest(Text(59, 1), 1)).status.code() == absl::StatusCode::kResourceExhausted);
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

TEST_F(EngineTest, OneBadRequestRefusesItsGroup) {
  Start();
  const auto good = std::make_shared<RecordingSink>();
  const auto bad = std::make_shared<RecordingSink>();
  EXPECT_TRUE(absl::IsInvalidArgument(
      engine_->Submit({{MakeRequest(Text(8), 4), good}, {MakeRequest(Text(0), 4), bad}}).status()));
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_FALSE(good->record().started.has_value());
  StopAndCheck();
}

TEST_F(EngineTest, RefusesMoreThanMayWaitAndSaysWhenToComeBack) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 2}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8), 4));
  EXPECT_TRUE(Submit(MakeRequest(Text(8), 4)).status.ok());
  EXPECT_TRUE(Submit(MakeRequest(Text(8), 4)).status.ok());
  const Submitted refused = Submit(MakeRequest(Text(8), 4));
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status));
  EXPECT_TRUE(GetRetryDelay(refused.status).has_value());
  gate_.Open();
  running.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

TEST_F(EngineTest, APlaceIsKeptUntilItIsUsedOrDropped) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8), 4));
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const absl::Status refused = engine_->Reserve("", absl::InfiniteFuture()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_TRUE(GetRetryDelay(refused).has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(Submit(MakeRequest(Text(8), 4)).status));

  place->reset();
  place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const auto bad = std::make_shared<RecordingSink>();
  EXPECT_TRUE(
      absl::IsInvalidArgument(engine_->Submit({{MakeRequest(Text(0), 4), bad}}, *std::move(place)).status()));
  place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok()) << "given back by the refusal";

  const auto sink = std::make_shared<RecordingSink>();
  EXPECT_TRUE(engine_->Submit({{MakeRequest(Text(8), 4), sink}}, *std::move(place)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->Reserve("", absl::InfiniteFuture()).status())) << "used up";
  gate_.Open();
  sink->WaitUntilEnded();
  EXPECT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  EXPECT_TRUE(absl::IsUnavailable(engine_->Reserve("", absl::InfiniteFuture()).status()));
  StopAndCheck();
}

TEST_F(EngineTest, QueueTimeIsTheWaitForPreparationAndForAdmission) {
  Start();
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(3));
  engine_->BeginPreparing(*place);
  clock_.Advance(absl::Seconds(100));  // a large picture
  const auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine_->Submit({{MakeRequest(Text(8), 1, kOn), sink}}, *std::move(place)).ok());
  ASSERT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  StopAndCheck();
  ASSERT_THAT(observer_.left_queue, SizeIs(1));
  EXPECT_EQ(observer_.left_queue[0].queue_time, absl::Seconds(3));
  EXPECT_EQ(observer_.left_queue[0].var, Mode::kOn);
  EXPECT_TRUE(observer_.left_queue[0].admitted);
}

TEST_F(EngineTest, AWaitThatEndsBeforePreparationCounts) {
  Start();
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(3));
  engine_->GiveUp(*std::move(place));
  EXPECT_EQ(engine_->load().reserved, 0);
  StopAndCheck();
  ASSERT_THAT(observer_.left_queue, SizeIs(1));
  EXPECT_EQ(observer_.left_queue[0].queue_time, absl::Seconds(3));
  EXPECT_FALSE(observer_.left_queue[0].admitted);
}

TEST_F(EngineTest, LoadIsWhatWaitsAndWhatHasAPlace) {
  Start({.scheduler = {.max_running = 1}});
  EXPECT_EQ(engine_->load().oldest, absl::ZeroDuration());
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8), 4));
  clock_.Advance(absl::Seconds(1));
  auto place = engine_->Reserve("a", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(2));
  const Submitted waiting = Submit(MakeRequest(Text(9, 1), 4));
  clock_.Advance(absl::Seconds(4));
  Engine::Load load = engine_->load();
  EXPECT_EQ(load.reserved, 1);
  EXPECT_EQ(load.waiting, 1) << "the other one runs";
  EXPECT_EQ(load.waiting_tokens, 9);
  EXPECT_EQ(load.oldest, absl::Seconds(6)) << "the place";
  place->reset();
  load = engine_->load();
  EXPECT_EQ(load.reserved, 0);
  EXPECT_EQ(load.oldest, absl::Seconds(4));
  gate_.Open();
  waiting.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(engine_->load().waiting, 0);
  EXPECT_EQ(engine_->load().oldest, absl::ZeroDuration());
  StopAndCheck();
}

TEST_F(EngineTest, ACallerCannotTakeTheWholeQueue) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 4}});
  const auto of = [](const std::string& caller, int seed) {
    GenerationRequest request = MakeRequest(Text(8, seed), 2);
    request.caller = caller;
    return request;
  };
  const Submitted running = SubmitAndBlock(of("hog", 0));
  std::vector<Submitted> waiting;
  for (int i = 1; i <= 3; ++i) waiting.push_back(Submit(of("hog", i)));
  const absl::Status refused = Submit(of("hog", 4)).status;
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("caller: of \"hog\""));
  EXPECT_TRUE(GetRetryDelay(refused).has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->Reserve("hog", absl::InfiniteFuture()).status()));
  auto place = engine_->Reserve("guest", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const auto guest = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine_->Submit({{of("guest", 5), guest}}, *std::move(place)).ok());
  gate_.Open();
  guest->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  for (const Submitted& s : waiting) EXPECT_TRUE(s.sink->record().finish.has_value());
  StopAndCheck();
}

// What is told and what is computed, the time it takes included, is the same whether or not another caller
// has sent the same before.
TEST_F(EngineTest, WithAScopeOfCallersNothingShowsWhatOthersSent) {
  for (const PrefixCacheScope scope : {PrefixCacheScope::kShared, PrefixCacheScope::kCaller}) {
    Start({.prefix_cache_scope = scope});
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const char* caller : {"a", "a", "b"}) {
      GenerationRequest request = MakeRequest(PromptBuilder().Text(5).Image(1, 4, 4).Text(6).Build(), 3);
      request.caller = caller;
      sinks.push_back(Submit(request).sink);
      sinks.back()->WaitUntilEnded();
    }
    engine_->Stop();
    EXPECT_EQ(sinks[0]->record().started->cached_tokens, 0);
    EXPECT_EQ(sinks[1]->record().started->cached_tokens, 25);
    EXPECT_EQ(sinks[2]->record().started->cached_tokens, scope == PrefixCacheScope::kShared ? 25 : 0);
    EXPECT_EQ(runner_->counts().encoded_images, scope == PrefixCacheScope::kShared ? 1 : 2);
    EXPECT_EQ(sinks[2]->record().tokens, sinks[0]->record().tokens);
  }
}

// A request does not step aside for a prefix that another caller's request is just computing.
TEST_F(EngineTest, WithAScopeOfCallersNobodyWaitsForAnothersPrefix) {
  Start({.scheduler = {.prefill_budget = 8}, .prefix_cache_scope = PrefixCacheScope::kCaller});
  const auto of = [](const std::string& caller) {
    GenerationRequest request = MakeRequest(PromptBuilder().Text(5).Image(1, 4, 4).Text(6).Build(), 3);
    request.caller = caller;
    return request;
  };
  gate_.Close();
  std::vector<Submitted> submitted;
  for (const char* caller : {"a", "b"}) submitted.push_back(Submit(of(caller)));
  gate_.Open();
  for (const Submitted& s : submitted) EXPECT_EQ(s.sink->WaitUntilEnded().started->cached_tokens, 0);
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
  EXPECT_EQ(runner_->counts().encoded_images, 2);
}

TEST_F(EngineTest, RefusesADeadlineTheQueueMakesImpossible) {
  step_duration_ = absl::Seconds(1);
  Start({.scheduler = {.max_running = 1}});
  Submit(MakeRequest(Text(16, 1), 2)).sink->WaitUntilEnded();  // 8 tokens of prefill a second
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8, 2), 4));
  const Submitted waiting = Submit(MakeRequest(Text(40, 3), 4));
  GenerationRequest hurried = MakeRequest(Text(8, 4), 4);
  hurried.deadline = clock_.Now() + absl::Seconds(4);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Submit(hurried).status));
  hurried.deadline = clock_.Now() + absl::Seconds(60);
  EXPECT_TRUE(Submit(hurried).status.ok());
  gate_.Open();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(waiting.sink->record().finish.has_value());
  StopAndCheck();
}

TEST_F(EngineTest, CancelsWaitingAndRunningRequests) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(Text(8, 2), 100));
  const Submitted last = Submit(MakeRequest(Text(8, 3), 5));
  engine_->Cancel(waiting.id);
  engine_->Cancel(running.id);
  engine_->Cancel(running.id);
  engine_->Cancel(12345);
  gate_.Open();
  EXPECT_TRUE(absl::IsCancelled(*running.sink->WaitUntilEnded().failed));
  EXPECT_LE(running.sink->record().tokens.size(), 1U) << "seen at the next step";
  EXPECT_TRUE(absl::IsCancelled(*waiting.sink->WaitUntilEnded().failed));
  EXPECT_FALSE(waiting.sink->record().started.has_value());
  EXPECT_EQ(last.sink->WaitUntilEnded().finish, FinishReason::kLength);
  engine_->Cancel(last.id);
  EXPECT_EQ(last.sink->record().finish, FinishReason::kLength);
  StopAndCheck();
}

TEST_F(EngineTest, SinkMaySubmitAndCancel) {
  Start();
  std::atomic<SequenceId> own_id = 0;
  const auto next = std::make_shared<RecordingSink>();
  gate_.Close();
  const Submitted first = Submit(MakeRequest(Text(8, 1), 100), [&](int num_tokens) {
    if (num_tokens == 3) {
      EXPECT_TRUE(engine_->Submit({{MakeRequest(Text(8, 2), 4), next}}).ok());
      engine_->Cancel(own_id);
    }
    return SinkVerdict::kContinue;
  });
  own_id = first.id;
  gate_.Open();
  EXPECT_TRUE(absl::IsCancelled(*first.sink->WaitUntilEnded().failed));
  EXPECT_THAT(first.sink->record().tokens, SizeIs(3));
  EXPECT_THAT(next->WaitUntilEnded().tokens, SizeIs(4));
  StopAndCheck();
}

TEST_F(EngineTest, DrainFinishesWhatWasAcceptedAndRefusesTheRest) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8, 1), 10));
  const Submitted waiting = Submit(MakeRequest(Text(8, 2), 10));
  std::thread drain([this] { engine_->Drain(absl::InfiniteFuture()); });
  WaitUntilShuttingDown();
  gate_.Open();
  drain.join();
  EXPECT_THAT(running.sink->record().tokens, SizeIs(10));
  EXPECT_THAT(waiting.sink->record().tokens, SizeIs(10));
  EXPECT_FALSE(engine_->health().working);
  StopAndCheck();
}

TEST_F(EngineTest, DrainEndsWhatIsLeftAtItsDeadline) {
  step_duration_ = absl::Seconds(1);
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(Text(8, 2), 100));
  std::thread drain([this, deadline = clock_.Now() + absl::Seconds(5)] { engine_->Drain(deadline); });
  WaitUntilShuttingDown();
  gate_.Open();
  drain.join();
  EXPECT_TRUE(absl::IsUnavailable(running.sink->record().failed.value()));
  EXPECT_THAT(running.sink->record().tokens, SizeIs(5));
  EXPECT_TRUE(absl::IsUnavailable(waiting.sink->record().failed.value()));
  StopAndCheck();
}

TEST_F(EngineTest, DrainGivesUpOnAStepThatHangs) {
  Start();
  const Submitted hanging = SubmitAndBlock(MakeRequest(Text(8, 1), 100));
  EXPECT_FALSE(engine_->Drain(clock_.Now(), absl::ZeroDuration()));
  EXPECT_FALSE(hanging.sink->record().ended());
  gate_.Open();
  EXPECT_TRUE(absl::IsUnavailable(hanging.sink->WaitUntilEnded().failed.value()));
  EXPECT_TRUE(engine_->Drain(clock_.Now()));
  StopAndCheck();
}

TEST_F(EngineTest, StopEndsEverything) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(Text(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(Text(8, 2), 100));
  std::thread stop([this] { engine_->Stop(); });
  WaitUntilShuttingDown();
  gate_.Open();
  stop.join();
  EXPECT_TRUE(absl::IsUnavailable(running.sink->record().failed.value()));
  EXPECT_TRUE(absl::IsUnavailable(waiting.sink->record().failed.value()));
  EXPECT_TRUE(absl::IsUnavailable(Submit(MakeRequest(Text(8), 1)).status));
  engine_->Cancel(running.id);
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

TEST_F(EngineTest, SinksAreDroppedWhenTheirRequestEnds) {
  Start();
  const Submitted submitted = Submit(MakeRequest(Text(8), 4));
  submitted.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  engine_->Stop();
  EXPECT_EQ(submitted.sink.use_count(), 1);
}

TEST_F(EngineTest, IsStuckOnlyWhileAStepTakesTooLong) {
  Start();
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(engine_->stuck(absl::Seconds(10))) << "idle";
  const Submitted blocked = SubmitAndBlock(MakeRequest(Text(8), 4));
  EXPECT_FALSE(engine_->stuck(absl::Seconds(10))) << "has just begun";
  clock_.Advance(absl::Seconds(11));
  EXPECT_TRUE(engine_->stuck(absl::Seconds(10)));
  EXPECT_TRUE(engine_->health().working);
  gate_.Open();
  blocked.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_FALSE(engine_->stuck(absl::Seconds(10)));
  StopAndCheck();
}

TEST_F(EngineTest, CountsFailedStepsInARow) {
  std::atomic<bool> broken = true;
  fault_ = [&broken](const StepPlan&) { return broken ? absl::InternalError("broken") : absl::OkStatus(); };
  Start();
  for (int i = 1; i <= 3; ++i) {
    const Submitted submitted = Submit(MakeRequest(Text(8), 4));
    EXPECT_TRUE(absl::IsInternal(*submitted.sink->WaitUntilEnded().failed));
    while (engine_->health().working)
      std::this_thread::yield();  // the sink hears of it before the count is made
    EXPECT_EQ(engine_->health().failed_steps, i);
  }
  broken = false;
  Submit(MakeRequest(Text(8), 4)).sink->WaitUntilEnded();
  EXPECT_EQ(engine_->health().failed_steps, 0);
  StopAndCheck();
}

TEST_F(EngineTest, ManySubmittersAndCancellers) {
  constexpr int kThreads = 6;
  constexpr int kRequests = 40;
  Start({.scheduler = {.max_running = 8, .prefill_budget = 32}, .queue = {.max_waiting = 60}});
  std::atomic<int> accepted = 0;
  std::atomic<int> ended = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, &accepted, &ended] {
      std::mt19937 random(t);
      std::vector<Submitted> submitted;
      for (int i = 0; i < kRequests; ++i) {
        GenerationRequest request =
            MakeRequest(PromptBuilder().Text(3).Image(random() % 3, 3, 3).Text(5, random() % 2).Build(),
                        random() % 12 + 1, kOn);
        if (random() % 8 == 0) request.deadline = clock_.Now() + absl::Milliseconds(random() % 20);
        submitted.push_back(Submit(std::move(request)));
        if (random() % 3 == 0) engine_->Cancel(submitted[random() % submitted.size()].id);
        if (random() % 4 == 0) submitted.back().sink->WaitForTokens(submitted.back().status.ok() ? 1 : 0);
        clock_.Advance(absl::Milliseconds(1));
        EXPECT_FALSE(engine_->stuck(absl::Hours(1)));
      }
      for (const Submitted& s : submitted) {
        if (!s.status.ok()) continue;
        ++accepted;
        if (s.sink->WaitUntilEnded().ended()) ++ended;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(accepted, ended);
  StopAndCheck();
}

}  // namespace
}  // namespace varserve::engine
