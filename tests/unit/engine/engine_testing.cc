#include "tests/unit/engine/engine_testing.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace varserve::engine {
namespace {

std::string ToText(float value) { return absl::StrCat(absl::Hex(std::bit_cast<uint32_t>(value)), " "); }

std::string ToText(const AttentionShares& shares) {
  return ToText(shares.changed_heads) + ToText(shares.redistributed) + ToText(shares.visual_before) +
         ToText(shares.visual_after);
}

}  // namespace

std::shared_ptr<const Prompt> TextPrompt(int size, int seed) {
  return PromptBuilder().Text(size, seed).Build();
}

std::shared_ptr<const Prompt> PicturePrompt(uint8_t picture, int question) {
  return PromptBuilder().Text(5).Image(picture, 4, 4).Text(6, question).Build();
}

GenerationRequest MakeRequest(std::shared_ptr<const Prompt> prompt, int max_tokens, const VarSettings& var) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  request.intervention = MakeVarIntervention(var);
  return request;
}

GenerationRequest WithSibling(GenerationRequest request, std::shared_ptr<const Prompt> prompt) {
  request.contrast =
      std::make_shared<const Contrast>(Contrast{.prompt = std::move(prompt), .rule = {.weight = 1.0F}});
  return request;
}

std::unique_ptr<Sequence> MakeSequence(SequenceId id, GenerationRequest request, const ModelFacts& facts) {
  auto sequence = std::make_unique<Sequence>(std::move(request), facts, Digest{});
  sequence->SetIds(id, kSiblings + id);
  return sequence;
}

std::string ToText(const StepPlan& plan) {
  std::string text;
  for (const SequenceStep& step : plan.steps) {
    absl::StrAppend(&text, text.empty() ? "" : " ", step.sequence, "[", step.begin, ",", step.end, ")");
    for (const int image : step.encode_images) absl::StrAppend(&text, "+image", image);
  }
  return text;
}

std::string ToText(const VarReport& report) {
  std::string text = absl::StrCat("rows ", report.eligible_rows, " visual ", report.visual_sink_tokens,
                                  " text ", report.text_sink_tokens, " totals ", ToText(report.totals), "\n");
  for (const VarReport::Layer& layer : report.layers) {
    absl::StrAppend(&text, "layer ", layer.layer, " visual ", layer.visual_sinks, " text ", layer.text_sinks,
                    " ", ToText(layer.shares), "\n");
  }
  for (const VarReport::VisualSink& sink : report.visual_sinks) {
    absl::StrAppend(&text, "sink ", sink.image, " ", sink.row, " ", sink.col, " layers ", sink.layers, " ",
                    ToText(sink.max_phi), "\n");
  }
  for (const VarReport::Row& row : report.rows) {
    absl::StrAppend(&text, "row ", row.position, " ", ToText(row.shares), "\n");
  }
  for (const AttentionMap& map : report.maps) {
    absl::StrAppend(&text, "map ", map.position);
    for (const float value : map.before) absl::StrAppend(&text, " ", ToText(value));
    for (const float value : map.after) absl::StrAppend(&text, " ", ToText(value));
    absl::StrAppend(&text, "\n");
  }
  return text;
}

void CheckInvariants(const Scheduler& scheduler, const SchedulerOptions& options, const ModelFacts& facts) {
  const KvBlockPool& pool = scheduler.pool();
  EXPECT_LE(scheduler.NumRows(), options.max_running + options.reserved_running);
  EXPECT_LE(pool.num_cached(), options.prefix_cache_blocks.value_or(facts.num_kv_blocks));
  std::map<std::string, int> running_of;
  for (const Sequence* sequence : scheduler.running()) ++running_of[sequence->request.caller];
  for (const auto& [caller, running] : running_of) {
    EXPECT_LE(running, options.max_running) << caller;
    if (options.max_running_per_caller > 0 && !caller.empty()) {
      EXPECT_LE(running, options.max_running_per_caller) << caller;
    }
  }

  struct Holder {
    int count = 0;
    int place = 0;  // in the block table
    const Sequence* sequence = nullptr;
  };
  std::map<BlockId, Holder> held;
  int unpublished_prefix_blocks = 0;
  std::vector<const Sequence*> sequences(scheduler.running().begin(), scheduler.running().end());
  for (const Sequence* sequence : scheduler.running()) {
    const Sequence* const sibling = sequence->sibling.get();
    if (sibling == nullptr) continue;
    EXPECT_EQ(sibling->generated, sequence->generated);
    EXPECT_EQ(sibling->prefilling(), sequence->prefilling());
    sequences.push_back(sibling);
  }
  for (const Sequence* sequence : sequences) {
    EXPECT_EQ(static_cast<int>(sequence->blocks.size()), sequence->num_blocks());
    EXPECT_LT(sequence->num_tokens(), sequence->max_size) << "should have ended";
    EXPECT_LT(sequence->num_computed, sequence->num_tokens());
    if (!sequence->prefilling()) {
      EXPECT_EQ(sequence->num_computed, sequence->num_tokens() - 1);
    }
    unpublished_prefix_blocks += std::max(0, sequence->num_prefix_blocks() - sequence->num_published);
    for (int place = 0; place < sequence->num_blocks(); ++place) {
      Holder& holder = held[sequence->blocks[place]];
      if (holder.count++ > 0) {
        EXPECT_EQ(holder.place, place);
        const bool of_one_request = sequence->sibling_of == holder.sequence->id;
        ASSERT_LT(place, of_one_request ? sequence->num_published
                                        : std::min(sequence->num_published, holder.sequence->num_published));
        EXPECT_EQ(holder.sequence->block_keys[place], sequence->block_keys[place])
            << "shared, but not by content";
      }
      holder.place = place;
      holder.sequence = sequence;
    }
  }
  for (BlockId block = 0; block < pool.num_blocks(); ++block) {
    const auto holder = held.find(block);
    EXPECT_EQ(pool.num_holders(block), holder == held.end() ? 0 : holder->second.count) << "block " << block;
  }
  EXPECT_EQ(pool.num_held(), static_cast<int>(held.size()));
  EXPECT_LE(pool.num_pending(), unpublished_prefix_blocks);
  for (const Sequence* sequence : scheduler.waiting()) {
    EXPECT_TRUE(sequence->blocks.empty());
    EXPECT_LE(sequence->times_passed, AdmissionQueue::kMaxPasses);
  }
}

CoreHarness::CoreHarness(const ModelFacts& facts, const SchedulerOptions& scheduler_options)
    : options(scheduler_options), runner(facts), core(options, &runner, &observer, &clock) {
  runner.fault = [this](const StepPlan& plan) {
    last_plan = ToText(plan);
    return fault ? fault(plan) : absl::OkStatus();
  };
}

SequenceId CoreHarness::Add(GenerationRequest request, RecordingSink::Judge judge) {
  sinks.push_back(std::make_shared<RecordingSink>(std::move(judge)));
  auto sequence = MakeSequence(sinks.size(), std::move(request), runner.facts());
  sequence->arrival = clock.Now();
  core.Add(std::move(sequence), sinks.back());
  return sinks.size();
}

EngineCore::Round CoreHarness::Round() {
  EngineCore::Round round;
  core.FailExpired(round);
  core.Admit(round);
  core.Step(round);
  CheckInvariants(core.scheduler(), options, runner.facts());
  return round;
}

std::vector<std::string> CoreHarness::Plans(int rounds) {
  std::vector<std::string> plans;
  for (int i = 0; i < rounds; ++i) {
    last_plan.clear();
    Round();
    plans.push_back(last_plan);
  }
  return plans;
}

void CoreHarness::RunUntilIdle() {
  while (!idle() && !::testing::Test::HasFatalFailure()) Round();
  EXPECT_EQ(runner.num_sequences(), 0U);
  EXPECT_EQ(core.scheduler().pool().num_held(), 0);
  EXPECT_EQ(core.scheduler().pool().num_pending(), 0);
}

std::vector<int32_t> TokensAlone(GenerationRequest request) {
  CoreHarness harness;
  harness.Add(std::move(request));
  harness.RunUntilIdle();
  return harness.record(1).tokens;
}

}  // namespace varserve::engine
