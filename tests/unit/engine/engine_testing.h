// What the engine's tests share: requests, an observer that records its calls, a core that runs until it
// is idle, and the invariants of a scheduler.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/engine/engine_core.h"
#include "server/engine/request.h"
#include "server/engine/scheduler.h"
#include "server/interventions/var/report.h"
#include "server/interventions/var/tokens.h"
#include "server/interventions/var/var_intervention.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/prompt_builder.h"
#include "tests/testing/recording_sink.h"

namespace varserve::engine {

using interventions::AttentionMap;
using interventions::AttentionShares;
using interventions::kNumPhiPlanes;
using interventions::MakeVarIntervention;
using interventions::Mode;
using interventions::VarReport;
using interventions::VarSettings;
using interventions::VarVariant;
using varserve::testing::FakeClock;
using varserve::testing::FakeModelRunner;
using varserve::testing::PromptBuilder;
using varserve::testing::RecordingSink;

inline constexpr VarSettings kOff = {};
inline constexpr VarSettings kObserve = {.mode = Mode::kObserve, .last_layer = 2};
inline constexpr VarSettings kOn = {.mode = Mode::kOn, .last_layer = 2};
inline constexpr VarSettings kOnOtherTau = {.mode = Mode::kOn, .tau = 30.0F, .last_layer = 2};
inline constexpr VarSettings kAuthors = {
    .mode = Mode::kOn, .variant = VarVariant::kAuthorsCode, .first_layer = 2, .last_layer = 3};

std::shared_ptr<const Prompt> TextPrompt(int size, int seed = 0);
// A picture with text on both sides; a text of its own for each `question`.
std::shared_ptr<const Prompt> PicturePrompt(uint8_t picture, int question = 0);

// A request that goes on after the end-of-sequence token, so that its length is max_tokens.
GenerationRequest MakeRequest(std::shared_ptr<const Prompt> prompt, int max_tokens,
                              const VarSettings& var = kOff);

// The same with a sibling, which has the sibling's prompt.
GenerationRequest WithSibling(GenerationRequest request, std::shared_ptr<const Prompt> prompt);

// Ids of siblings in these tests.
inline constexpr SequenceId kSiblings = 1000;
// A sibling's id is kSiblings + id.
std::unique_ptr<Sequence> MakeSequence(SequenceId id, GenerationRequest request, const ModelFacts& facts);

// What a plan computes, as text: "1[20,21) 2[0,8)+image0" is a step of decode and a chunk that encodes an
// image.
std::string ToText(const StepPlan& plan);

// Everything in a report, as text: equal texts, equal reports, to the bit.
std::string ToText(const VarReport& report);

// Fails the test unless blocks, holders, queues and pending prefixes of a scheduler agree with each other.
void CheckInvariants(const Scheduler& scheduler, const SchedulerOptions& options, const ModelFacts& facts);

class RecordingObserver final : public EngineObserver {
 public:
  void OnLoad(const Load& load) override { loads.push_back(load); }
  void OnLeftQueue(Mode var, absl::Duration queue_time, bool is_admitted) override {
    left_queue.push_back({var, queue_time, is_admitted});
  }
  void OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) override {
    queried += queried_tokens;
    hit += hit_tokens;
  }
  void OnStep(const Step& step) override { steps.push_back(step); }
  void OnCorruptedResult() override { ++corrupted; }

  struct LeftQueue {
    Mode var;
    absl::Duration queue_time;
    bool admitted;
    bool operator==(const LeftQueue&) const = default;
  };
  std::vector<LeftQueue> left_queue;
  std::vector<Load> loads;
  std::vector<Step> steps;
  int64_t queried = 0;
  int64_t hit = 0;
  int corrupted = 0;
};

// An EngineCore with all it needs, and its requests in a row.
class CoreHarness {
 public:
  explicit CoreHarness(const ModelFacts& facts = FakeModelRunner::SmallFacts(),
                       const SchedulerOptions& options = {});

  SequenceId Add(GenerationRequest request, RecordingSink::Judge judge = nullptr);
  // One round, as the engine's thread makes it.
  EngineCore::Round Round();
  void RunUntilIdle();
  bool idle() const { return core.scheduler().waiting().empty() && core.scheduler().running().empty(); }
  RecordingSink::Record record(SequenceId id) const { return sinks[id - 1]->record(); }

  // The next rounds' plans, one line each; empty where nothing is to run.
  std::vector<std::string> Plans(int rounds);

  std::function<absl::Status(const StepPlan&)> fault;  // as FakeModelRunner::fault
  std::string last_plan;                               // last plan executed

  SchedulerOptions options;
  FakeClock clock;
  FakeModelRunner runner;
  RecordingObserver observer;
  EngineCore core;
  std::vector<std::shared_ptr<RecordingSink>> sinks;  // of the sequences 1, 2, ...
};

// What a request's answer is where nothing else runs.
std::vector<int32_t> TokensAlone(GenerationRequest request);

}  // namespace varserve::engine
