// Samplers for all compute threads, and what combines two sequences' logits before them. Engine thread only.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/engine/step_plan.h"
#include "server/model/sampler.h"

namespace varserve::model {

class SamplerPool {
 public:
  // A token to be chosen.
  struct Job {
    const engine::SequenceStep* step = nullptr;
    const backend::LeadingTokens* leading = nullptr;  // if this is enough, the result has a token
    int64_t vocabulary = 0;                           // V
    absl::Span<const float> logits;                   // [V]; read if there is no `leading`
    absl::Span<const float> sibling;                  // [V], only with a contrast
    engine::SequenceResult* result = nullptr;
  };
  // Runs on the threads that have just computed the step: with a flat distribution over a large vocabulary, a
  // token takes half a millisecond.
  void Run(absl::Span<const Job> jobs);

 private:
  // Of a compute thread.
  struct Worker {
    Sampler sampler;
    std::vector<float> combined;  // [V]
  };
  static void Choose(const Job& job, Worker& worker);

  std::vector<Worker> workers_;  // one for each compute thread
};

}  // namespace varserve::model
