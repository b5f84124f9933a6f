// What the engine makes of requests, and what it refuses.
#include "server/engine/engine.h"

#include <atomic>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/engine_fixture.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class EngineTest : public EngineFixture {};

TEST_F(EngineTest, GeneratesWhatIsAskedFor) {
  Start();
  const Submitted a = Submit(MakeRequest(TextPrompt(20), 5));
  ASSERT_TRUE(a.status.ok());
  EXPECT_THAT(a.sink->WaitUntilEnded().tokens, SizeIs(5));
  const Submitted b = Submit(MakeRequest(TextPrompt(20), 5));
  EXPECT_EQ(b.sink->WaitUntilEnded().tokens, a.sink->record().tokens);
  StopAndCheck();
}

TEST_F(EngineTest, GroupSharesItsPrefix) {
  Start();
  const auto prompt = PicturePrompt(1);
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
  GenerationRequest expired = MakeRequest(TextPrompt(8), 1);
  expired.deadline = clock_.Now();
  const Case cases[] = {
      {MakeRequest(nullptr, 1), absl::StatusCode::kInvalidArgument, "prompt: "},
      {MakeRequest(TextPrompt(0), 1), absl::StatusCode::kInvalidArgument, "prompt: "},
      {MakeRequest(TextPrompt(60), 1), absl::StatusCode::kInvalidArgument, "prompt: has 60 tokens"},
      {MakeRequest(TextPrompt(8), 0), absl::StatusCode::kInvalidArgument, "max_tokens: "},
      {MakeRequest(TextPrompt(8), 1, kOn), absl::StatusCode::kFailedPrecondition, "var.mode: "},
      {MakeRequest(TextPrompt(8), 1, {.mode = Mode::kOn, .last_layer = 4}),
       absl::StatusCode::kInvalidArgument, "var.last_layer: "},
      {MakeRequest(TextPrompt(8), 34), absl::StatusCode::kResourceExhausted,
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
  EXPECT_TRUE(Submit(MakeRequest(TextPrompt(8), 33)).status.ok()) << "10 blocks";
  EXPECT_TRUE(Submit(MakeRequest(TextPrompt(59, 1), 1)).status.code() ==
              absl::StatusCode::kResourceExhausted);
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

TEST_F(EngineTest, OneBadRequestRefusesItsGroup) {
  Start();
  const auto good = std::make_shared<RecordingSink>();
  const auto bad = std::make_shared<RecordingSink>();
  EXPECT_TRUE(absl::IsInvalidArgument(
      engine_->Submit({{MakeRequest(TextPrompt(8), 4), good}, {MakeRequest(TextPrompt(0), 4), bad}})
          .status()));
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_FALSE(good->record().started.has_value());
  StopAndCheck();
}

// Replies, computation and timing are the same whether or not another caller has sent the same before.
TEST_F(EngineTest, WithAScopeOfCallersNothingShowsWhatOthersSent) {
  for (const PrefixCacheScope scope : {PrefixCacheScope::kShared, PrefixCacheScope::kCaller}) {
    Start({.prefix_cache_scope = scope});
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const char* caller : {"a", "a", "b"}) {
      GenerationRequest request = MakeRequest(PicturePrompt(1), 3);
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
    GenerationRequest request = MakeRequest(PicturePrompt(1), 3);
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

TEST_F(EngineTest, CancelsWaitingAndRunningRequests) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(8, 2), 100));
  const Submitted last = Submit(MakeRequest(TextPrompt(8, 3), 5));
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
  const Submitted first = Submit(MakeRequest(TextPrompt(8, 1), 100), [&](int num_tokens) {
    if (num_tokens == 3) {
      EXPECT_TRUE(engine_->Submit({{MakeRequest(TextPrompt(8, 2), 4), next}}).ok());
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

TEST_F(EngineTest, SinksAreDroppedWhenTheirRequestEnds) {
  Start();
  const Submitted submitted = Submit(MakeRequest(TextPrompt(8), 4));
  submitted.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  engine_->Stop();
  EXPECT_EQ(submitted.sink.use_count(), 1);
}

TEST_F(EngineTest, IsStuckOnlyWhileAStepTakesTooLong) {
  Start();
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(engine_->stuck(absl::Seconds(10))) << "idle";
  const Submitted blocked = SubmitAndBlock(MakeRequest(TextPrompt(8), 4));
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
    const Submitted submitted = Submit(MakeRequest(TextPrompt(8), 4));
    EXPECT_TRUE(absl::IsInternal(*submitted.sink->WaitUntilEnded().failed));
    while (engine_->health().working)
      std::this_thread::yield();  // the sink hears of it before the count is made
    EXPECT_EQ(engine_->health().failed_steps, i);
  }
  broken = false;
  Submit(MakeRequest(TextPrompt(8), 4)).sink->WaitUntilEnded();
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
