// A ModelRunner without a model. For every slot of every KV block it keeps a hash of the logical context that
// was written there, and at each step it fails the test unless all earlier slots of every sequence hold what
// that sequence must find there; so a wrong share, an early free, a stale or uncleared block is caught. The
// next token, measurements and the attention rows are functions of the context alone: what is right does not
// depend on batch, chunks or hits. Called by one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "server/engine/model_runner.h"
#include "tests/testing/fake_encodings.h"

namespace varserve::testing {

class FakeModelRunner final : public engine::ModelRunner {
 public:
  // Facts of a small model with a VAR profile.
  static engine::ModelFacts SmallFacts();
  // The same with a context of 8192 tokens, and KV blocks for four such sequences.
  static engine::ModelFacts LongContextFacts();

  explicit FakeModelRunner(engine::ModelFacts facts);

  // Faults. Asked before a step is executed; an error is returned after garbage was written.
  std::function<absl::Status(const engine::StepPlan&)> fault;
  // Asked before blocks are cleared; after an error they still hold what they held.
  std::function<absl::Status()> clear_fault;
  // Tells whether this step's values come out not finite.
  std::function<bool(const engine::SequenceStep&)> non_finite;
  // Asked whether an image that is encoded ahead is ready. Not set: after the step that begins it.
  std::function<bool()> is_encoded;
  // Changes what is returned.
  std::function<void(engine::StepOutput&)> edit_output;

  const engine::ModelFacts& facts() const override { return facts_; }
  absl::StatusOr<engine::StepOutput> Execute(const engine::StepPlan& plan,
                                             absl::FunctionRef<void()> meanwhile) override;
  std::vector<engine::ImageRef> TakeEncoded() override { return encodings_.TakeEncoded(is_encoded); }
  void Release(engine::SequenceId sequence) override;
  absl::Status ClearBlocks(absl::Span<const engine::BlockId> blocks) override;

  // What was computed so far; failed steps count.
  struct Counts {
    int steps = 0;
    int prefill_tokens = 0;
    int encoded_images = 0;
    int encoded_ahead = 0;  // begun
    int cleared_blocks = 0;
  };
  const Counts& counts() const { return counts_; }
  const FakeEncodings& encodings() const { return encodings_; }
  // Sequences not released yet.
  size_t num_sequences() const { return sequences_.size(); }

 private:
  struct Slot {
    uint64_t content = 0;  // 0: never written, or cleared
    engine::SequenceId writer = 0;
    bool garbage = false;
  };
  struct SequenceState {
    std::vector<uint64_t> contents;  // of each position, given all before it
    std::map<int, int> encoded_at;   // image -> begin of the chunk it was encoded for
  };

  void CheckPlan(const engine::StepPlan& plan) const;
  void CheckSlots(const engine::SequenceStep& step, const SequenceState& state) const;
  void EncodeImages(const engine::SequenceStep& step, SequenceState& state);
  void Write(const engine::SequenceStep& step, const SequenceState& state, bool garbage);
  engine::SequenceResult Result(const engine::SequenceStep& step, const SequenceState& state) const;
  // Makes sampled tokens ones of the sibling's context, too; a sibling's values that are not finite are in
  // them.
  void Contrast(const engine::StepPlan& plan, engine::StepOutput& output);
  SequenceState& StateOf(const engine::SequenceStep& step);
  size_t IndexOf(const engine::SequenceStep& step, int slot) const;  // into slots_

  const engine::ModelFacts facts_;
  std::vector<Slot> slots_;  // [num_kv_blocks, block_size]
  std::unordered_map<engine::SequenceId, SequenceState> sequences_;
  FakeEncodings encodings_;
  Counts counts_;
};

}  // namespace varserve::testing
