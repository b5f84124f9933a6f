// Engine events that metrics are made from. Called on the engine's thread, except OnLeftQueue, which any
// thread may call. No method may block.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "server/interventions/mode.h"

namespace varserve::engine {

class EngineObserver {
 public:
  virtual ~EngineObserver() = default;

  // State after a step or a change of the queue.
  struct Load {
    int running = 0;
    int siblings = 0;  // of the running requests
    int waiting = 0;
    int64_t waiting_tokens = 0;
    int used_blocks = 0;    // held by running sequences
    int cached_blocks = 0;  // kept for later requests; can be reused
    int total_blocks = 0;
  };
  virtual void OnLoad(const Load& load) = 0;

  // A request stopped waiting: it was admitted, or it ended. `queue_time` is its total waiting time, first
  // for preparation, then for admission.
  virtual void OnLeftQueue(interventions::Mode /*mode*/, absl::Duration /*queue_time*/, bool /*admitted*/) {}

  // A request looked up its prompt, or its sibling's, in the prefix cache.
  virtual void OnPrefixLookup(int64_t queried_tokens, int64_t hit_tokens) = 0;

  // A step ended.
  struct Step {
    int decode_tokens = 0;
    int prefill_tokens = 0;
    absl::Duration duration;
    bool failed = false;
  };
  virtual void OnStep(const Step& step) = 0;

  // A request ended because its logits were not finite.
  virtual void OnCorruptedResult() = 0;
};

}  // namespace varserve::engine
