// The key promise of continuous batching: whatever else runs, and whatever the prefix cache holds, a request
// gets the tokens and the report it gets alone.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

struct Answer {
  std::vector<int32_t> tokens;
  FinishReason finish;
  std::string report;
  bool operator==(const Answer&) const = default;
};

Answer AnswerOf(const CoreHarness& harness, SequenceId id) {
  const RecordingSink::Record record = harness.record(id);
  return {record.tokens, record.finish.value(), record.report ? ToText(*record.report) : "none"};
}

Answer AnswerAlone(const GenerationRequest& request) {
  CoreHarness harness;
  harness.Add(request);
  harness.RunUntilIdle();
  return AnswerOf(harness, 1);
}

// Pictures, two pictures apart and side by side, no picture, and the continuation of an answer; each with
// every VAR setting.
std::vector<GenerationRequest> Requests() {
  std::vector<GenerationRequest> requests;
  int length = 1;
  for (const VarSettings& var : {kOff, kObserve, kOn, kOnOtherTau, kAuthors}) {
    const auto add = [&](const PromptBuilder& prompt) {
      GenerationRequest request = MakeRequest(prompt.Build(), length++ % 17 + 1, var);
      request.sampling.ignore_eos = length % 3 == 0;
      if (length % 2 == 0) request.map_layers = {0, 1};
      requests.push_back(request);
      return request;
    };
    for (int question = 0; question < 2; ++question) {
      for (uint8_t picture = 1; picture <= 2; ++picture) {
        const PromptBuilder prompt = PromptBuilder().Text(6).Image(picture, 3, 5).Text(9, question);
        const GenerationRequest request = add(prompt);
        add(PromptBuilder(prompt).Tokens(AnswerAlone(request).tokens).Text(5, 8));
      }
    }
    add(PromptBuilder().Text(6).Image(1, 3, 5).Text(4, 3).Image(2, 3, 5).Text(5, 4));
    add(PromptBuilder().Text(6).Image(1, 3, 5).Image(2, 3, 5).Text(5, 4));
    add(PromptBuilder().Image(1, 3, 5));
    add(PromptBuilder().Text(18, 2));
  }
  return requests;
}

class BatchingTest : public ::testing::TestWithParam<SchedulerOptions> {};

TEST_P(BatchingTest, TogetherEqualsAlone) {
  const std::vector<GenerationRequest> requests = Requests();
  std::vector<Answer> alone;
  for (const GenerationRequest& request : requests) alone.push_back(AnswerAlone(request));

  for (const int num_kv_blocks : {30, 200, 2000}) {
    ModelFacts facts = FakeModelRunner::SmallFacts();
    facts.num_kv_blocks = num_kv_blocks;
    CoreHarness harness(facts, GetParam());
    for (int pass = 0; pass < 3; ++pass) {
      const SequenceId first = harness.sinks.size() + 1;
      for (const GenerationRequest& request : requests) {
        harness.Add(request);
        if (pass == 2) harness.Round();  // arriving one by one while others run
      }
      harness.RunUntilIdle();
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(AnswerOf(harness, first + i), alone[i])
            << "request " << i << " pass " << pass << " blocks " << num_kv_blocks;
      }
    }
    if (GetParam().prefix_cache_blocks.value_or(1) > 0) {
      EXPECT_GT(harness.observer.hit, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options, BatchingTest,
    ::testing::Values(SchedulerOptions{}, SchedulerOptions{.max_running = 3, .prefill_budget = 100},
                      SchedulerOptions{.prefill_budget = 1000, .prefix_cache_blocks = 12},
                      SchedulerOptions{.prefix_cache_blocks = 0}));

}  // namespace
}  // namespace varserve::engine
