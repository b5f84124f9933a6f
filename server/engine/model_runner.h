// What the engine needs of a model. The engine's thread is the only caller.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

struct ModelFacts {
  int num_layers = 0;
  int num_heads = 0;
  int context = 0;  // most tokens of a sequence
  std::vector<int32_t> eos_token_ids;
  int num_kv_blocks = 0;    // blocks the KV pool holds
  int block_size = 16;      // slots
  int64_t block_bytes = 0;  // K, V and measurements of one block over all layers
  int prefill_chunk = 64;   // tokens the runner likes to prefill at once
  int token_measures = 0;   // values measured of each token in each layer, for interventions
};

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  // Constant for the runner's life.
  virtual const ModelFacts& facts() const = 0;

  // Runs one step: writes K, V and measurements of the step's tokens into their blocks, then samples where
  // asked. Executing the same step again gives the same result. An error means that nothing of the step may
  // be used; the blocks of its sequences may hold garbage at the positions of the step, nowhere else.
  virtual absl::StatusOr<StepOutput> Execute(const StepPlan& plan) = 0;

  // Forgets what is kept for a sequence beside its blocks (image features not yet used up).
  virtual void Release(SequenceId sequence) = 0;

  // Clears blocks whose content may be not finite before another sequence gets them. No request has a part in
  // it: an error means that the device does not work.
  virtual absl::Status ClearBlocks(absl::Span<const BlockId> blocks) = 0;
};

}  // namespace varserve::engine
