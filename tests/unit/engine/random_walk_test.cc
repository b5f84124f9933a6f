// Seeded random walks over submissions, cancellations, deadlines, faults and steps; invariants after every
// one.
#include <map>
#include <random>
#include <set>

#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

class RandomWalk {
 public:
  explicit RandomWalk(uint32_t seed)
      : random_(seed),
        harness_(Facts(/*encodes_ahead=*/Pick(0, 1) == 1, /*asynchronous=*/Pick(0, 1) == 1),
                 {.max_running = Pick(1, 12),
                  .max_running_per_caller = Pick(0, 3),
                  .reserved_running = Pick(0, 3),
                  .reserved_blocks = Pick(0, 12),
                  .prefill_budget = Pick(1, 40),
                  .prefix_cache_blocks = Pick(0, 1) == 0 ? std::nullopt : std::optional(Pick(0, 20))}) {
    harness_.fault = [this](const StepPlan& plan) { return Execute(plan); };
    harness_.runner.is_encoded = [this] { return Pick(0, 3) == 0; };
    harness_.runner.non_finite = [this](const SequenceStep&) { return Pick(0, 400) == 0; };
  }

  void Run(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      switch (Pick(0, 9)) {
        case 0:
        case 1:
        case 2:
          Submit();
          break;
        case 3:
          Cancel();
          break;
        case 4:
          harness_.clock.Advance(absl::Milliseconds(Pick(0, 50)));
          break;
        default:
          Round();
      }
      CheckInvariants(harness_.core.scheduler(), harness_.options, harness_.runner.facts());
    }
    while (!harness_.idle() && !::testing::Test::HasFailure()) Round();
    EXPECT_EQ(harness_.runner.num_sequences(), 0U);
    EXPECT_EQ(harness_.core.scheduler().pool().num_held(), 0);
    EXPECT_EQ(harness_.core.scheduler().pool().num_pending(), 0);
    EXPECT_GT(harness_.observer.hit, 0);
    CheckAnswers();
  }

 private:
  static ModelFacts Facts(bool encodes_ahead = false, bool asynchronous = false) {
    ModelFacts facts = FakeModelRunner::SmallFacts();
    facts.num_kv_blocks = 48;
    facts.context = 120;
    facts.encodes_ahead = encodes_ahead;
    facts.asynchronous = asynchronous;
    return facts;
  }

  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }

  void Submit() {
    static constexpr VarSettings kSettings[] = {kOff, kObserve, kOn, kAuthors};
    static constexpr const char* kCallers[] = {"", "a", "b", "c"};
    PromptBuilder prompt;
    prompt.Text(Pick(1, 2) * 3, 1);
    if (Pick(0, 4) > 0) prompt.Image(static_cast<uint8_t>(Pick(1, 3)), 3, Pick(1, 2) * 3);
    if (Pick(0, 4) == 0) prompt.Image(5, varserve::testing::MakeLayoutWithNewlines(3, 2));
    if (Pick(0, 4) > 0) prompt.Text(Pick(1, 12), Pick(0, 1));
    if (Pick(0, 4) == 0) prompt.Image(static_cast<uint8_t>(Pick(1, 3)), 2, 2);
    if (Pick(0, 4) == 0) prompt.Image(4, varserve::testing::MakeLayoutWithNewlines(2, 3));
    GenerationRequest request = MakeRequest(prompt.Build(), Pick(1, 25), kSettings[Pick(0, 3)]);
    request.caller = kCallers[Pick(0, 3)];
    request.sampling.ignore_eos = Pick(0, 1) == 0;
    if (Pick(0, 9) == 0) request.deadline = harness_.clock.Now() + absl::Milliseconds(Pick(0, 500));
    if (harness_.options.max_running > 1 && Pick(0, 2) == 0) AddSibling(request);
    RecordingSink::Judge judge;
    if (Pick(0, 4) == 0) {
      judge = [stop = Pick(1, 20)](int num_tokens) {
        return num_tokens == stop ? SinkVerdict::kStop : SinkVerdict::kContinue;
      };
      request.sink_may_stop = Pick(0, 1) == 0;
    }
    requests_.push_back(request);
    judges_.push_back(judge);
    harness_.Add(request, judge);
  }

  // With other text, and often with the same picture, another one or none.
  void AddSibling(GenerationRequest& request) {
    PromptBuilder prompt;
    prompt.Text(Pick(1, 2) * 3, 1);
    if (Pick(0, 3) > 0) prompt.Image(static_cast<uint8_t>(Pick(1, 3)), 3, 3);
    prompt.Text(Pick(1, 20), Pick(0, 2));
    GenerationRequest with_sibling = WithSibling(request, prompt.Build());
    const ModelFacts facts = Facts();
    if (Sequence(with_sibling, facts, {}).num_request_blocks() <= facts.num_kv_blocks)
      request = std::move(with_sibling);
  }

  void Cancel() {
    if (requests_.empty()) return;
    EngineCore::Round round;
    harness_.core.Fail(Pick(1, static_cast<int>(requests_.size())), absl::CancelledError("test"), round);
  }

  void Round() {
    executed_ = false;
    const EngineCore::Round round = harness_.Round();
    if (round.stats.admitted > 0) {
      EXPECT_TRUE(executed_);
    }
  }

  absl::Status Execute(const StepPlan& plan) {
    if (!executed_) CheckFirstPlan(plan);
    executed_ = true;
    return Pick(0, 30) == 0 ? absl::InternalError("random fault") : absl::OkStatus();
  }

  // Of a round, not of its retries: called between planning and applying.
  void CheckFirstPlan(const StepPlan& plan) {
    const Scheduler& scheduler = harness_.core.scheduler();
    std::set<SequenceId> planned;
    int cost = 0;
    int chunks = 0;
    int images = 0;
    for (const SequenceStep& step : plan.steps) {
      planned.insert(step.sequence);
      if (step.begin >= step.request->prompt->size()) continue;
      if (step.contrasts) continue;  // goes with its sequence's last chunk, whatever it costs
      ++chunks;
      cost += step.end - step.begin;
      int encoded = 0;
      for (const int image : step.encode_images) {
        if (harness_.runner.encodings().IsReady({step.sequence, image})) continue;
        ++encoded;
        cost += step.request->prompt->spans[image].layout->num_visual_tokens();
      }
      images += encoded > 0 ? 1 : 0;
    }
    if (chunks > 1) {
      EXPECT_LE(cost, *harness_.options.prefill_budget);
    }
    EXPECT_LE(images, 1);
    const bool encodes_ahead = harness_.runner.facts().encodes_ahead;
    const bool decodes = static_cast<int>(plan.steps.size()) > 0 &&
                         plan.steps.front().begin >= plan.steps.front().request->prompt->size();
    if (encodes_ahead && decodes) {
      EXPECT_EQ(images, 0) << "decoding sequences wait for the vision tower";
    }

    // Else a caller's prefill may be kept from going on.
    bool alone = true;
    const Sequence* oldest_prefill = nullptr;
    for (const Sequence* sequence : scheduler.running()) {
      const bool is_planned = planned.contains(sequence->id);
      EXPECT_TRUE(sequence->sibling == nullptr || sequence->prefilling() ||
                  planned.contains(sequence->sibling->id) == is_planned);
      alone &= sequence->request.caller == scheduler.running().front()->request.caller;
      if (!sequence->prefilling()) {
        int& waited = waited_[sequence->id];
        waited = is_planned ? 0 : waited + 1;
        EXPECT_LE(waited, harness_.options.max_running) << "decode was starved";
      } else if (oldest_prefill == nullptr) {
        oldest_prefill = sequence;
      }
    }
    if (oldest_prefill != nullptr && alone && !encodes_ahead) {
      EXPECT_GT(chunks, 0);
      const Sequence* const sibling = oldest_prefill->sibling.get();
      const bool is_planned =
          planned.contains(oldest_prefill->id) || (sibling != nullptr && planned.contains(sibling->id));
      EXPECT_TRUE(is_planned || oldest_prefill->id != left_out_) << "prefill was starved for two steps";
      left_out_ = is_planned ? 0 : oldest_prefill->id;
    } else {
      left_out_ = 0;
    }

    // Of one caller's requests whoever was admitted now has passed only those that wait for a prefix, or, as
    // often as they allow it, for memory.
    for (const Sequence* waiting : scheduler.waiting()) {
      for (const Sequence* running : scheduler.running()) {
        if (running->id < waiting->id || seen_running_.contains(running->id)) continue;
        if (running->request.caller != waiting->request.caller) continue;
        if (waiting->awaited && scheduler.pool().IsPending(*waiting->awaited)) continue;
        EXPECT_LE(++passed_[waiting->id], AdmissionQueue::kMaxPasses);
      }
    }
    for (const Sequence* running : scheduler.running()) seen_running_.insert(running->id);
  }

  // What was answered is what a sequence alone answers, as far as it got.
  void CheckAnswers() {
    int finished = 0;
    for (size_t i = 0; i < requests_.size(); ++i) {
      const RecordingSink::Record record = harness_.record(i + 1);
      ASSERT_TRUE(record.ended());
      GenerationRequest request = requests_[i];
      request.deadline = absl::InfiniteFuture();
      CoreHarness alone(Facts());
      alone.Add(request, judges_[i]);
      alone.RunUntilIdle();
      std::vector<int32_t> tokens = alone.record(1).tokens;
      if (record.finish) {
        ++finished;
        EXPECT_EQ(record.finish, alone.record(1).finish);
        // A sink that stops unexpectedly may have the next token's row in its report.
        const bool exact = request.sink_may_stop || record.finish != FinishReason::kStopString;
        if (record.report && exact) {
          EXPECT_EQ(ToText(*record.report), ToText(*alone.record(1).report));
        }
      } else {
        ASSERT_LE(record.tokens.size(), tokens.size());
        tokens.resize(record.tokens.size());
      }
      EXPECT_EQ(record.tokens, tokens) << "sequence " << i + 1;
    }
    EXPECT_GT(finished, 0);
  }

  std::mt19937 random_;
  CoreHarness harness_;
  std::vector<GenerationRequest> requests_;
  std::vector<RecordingSink::Judge> judges_;  // of the requests' sinks
  std::set<SequenceId> seen_running_;
  std::map<SequenceId, int> passed_;
  std::map<SequenceId, int> waited_;  // steps without a turn to decode
  SequenceId left_out_ = 0;           // the oldest prompt, if the last step computed nothing of it
  bool executed_ = false;
};

class RandomWalkTest : public ::testing::TestWithParam<uint32_t> {};

TEST_P(RandomWalkTest, KeepsTheInvariants) { RandomWalk(GetParam()).Run(2000); }

INSTANTIATE_TEST_SUITE_P(Seeds, RandomWalkTest, ::testing::Range<uint32_t>(1, 7));

}  // namespace
}  // namespace varserve::engine
