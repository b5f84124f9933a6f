// Samplers for all compute threads. Engine thread only.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/engine/step_plan.h"
#include "server/model/sampler.h"

namespace varserve::model {

class SamplerPool {
 public:
  // A token to be chosen from all logits.
  struct Job {
    const engine::SequenceStep* step = nullptr;
    absl::Span<const float> logits;  // [V]
    engine::SequenceResult* result = nullptr;
  };
  // Runs on the threads that have just computed the step: with a flat distribution over a large vocabulary, a
  // token takes a tenth of a millisecond.
  void Run(absl::Span<const Job> jobs);

 private:
  std::vector<Sampler> samplers_;  // one for each compute thread
};

}  // namespace varserve::model
