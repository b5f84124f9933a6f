// A model runner around another one that fails, stalls and returns values that are not finite, at random, and
// for good once its device is broken. Called by one thread at a time, the rest by any.
#pragma once

#include <atomic>
#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "server/engine/model_runner.h"

namespace varserve::testing {

class FaultyRunner final : public engine::ModelRunner {
 public:
  FaultyRunner(engine::ModelRunner* inner, uint64_t seed) : inner_(inner), random_(seed) {}

  const engine::ModelFacts& facts() const override { return inner_->facts(); }

  absl::StatusOr<engine::StepOutput> Execute(const engine::StepPlan& plan,
                                             absl::FunctionRef<void()> meanwhile) override {
    if (broken_) return absl::InternalError("the device is broken");
    if (Chance(200)) absl::SleepFor(absl::Milliseconds(20));
    absl::StatusOr<engine::StepOutput> output = inner_->Execute(plan, meanwhile);
    if (!output.ok()) return output;
    if (Chance(50)) {
      ++faults_;
      return Chance(4) ? absl::ResourceExhaustedError("out of memory") : absl::InternalError("injected");
    }
    for (engine::SequenceResult& result : output->results) {
      if (!Chance(100)) continue;
      ++faults_;
      result.status = absl::InternalError("logits are not finite");
    }
    return output;
  }
  void Release(engine::SequenceId sequence) override { inner_->Release(sequence); }
  absl::Status ClearBlocks(absl::Span<const engine::BlockId> blocks) override {
    if (broken_) return absl::InternalError("the device is broken");
    return inner_->ClearBlocks(blocks);
  }

  int faults() const { return faults_; }
  // From now on nothing works any more.
  void BreakDevice() { broken_ = true; }

 private:
  bool Chance(int one_in) { return random_() % one_in == 0; }

  engine::ModelRunner* const inner_;
  std::mt19937_64 random_;
  std::atomic<int> faults_ = 0;
  std::atomic<bool> broken_ = false;
};

}  // namespace varserve::testing
