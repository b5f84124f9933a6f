// What the engine needs from a model. Called only on the engine's thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

struct ModelFacts {
  int num_layers = 0;
  int num_heads = 0;
  int context = 0;  // maximum tokens of a sequence
  std::vector<int32_t> eos_token_ids;
  int num_kv_blocks = 0;       // blocks in the KV pool
  int block_size = 16;         // slots
  int64_t block_bytes = 0;     // K, V and measurements of one block, all layers
  int prefill_chunk = 64;      // preferred number of tokens per prefill chunk
  int token_measures = 0;      // values measured for each token in each layer, for interventions
  bool encodes_ahead = false;  // can encode images in parallel with steps (StepPlan::encode_ahead)
  bool asynchronous = false;   // steps run on a device of their own
};

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;

  // Constant for the runner's life.
  virtual const ModelFacts& facts() const = 0;

  // Runs one step: writes K, V and measurements of the step's tokens into their blocks, then samples if
  // requested. Executing the same step again gives the same result. After an error nothing of the step may be
  // used; its sequences' blocks may hold garbage at the step's positions, and nowhere else.
  // Calls `meanwhile` once before it waits for the device or for images, or not at all if the step fails
  // before. The plan must outlive that call.
  virtual absl::StatusOr<StepOutput> Execute(const StepPlan& plan, absl::FunctionRef<void()> meanwhile) = 0;

  // Images of StepPlan::encode_ahead, of any step so far, that were encoded since the last call. A step that
  // needs one earlier waits for it, and a failure to encode one is an error of the step that needs it.
  virtual std::vector<ImageRef> TakeEncoded() { return {}; }

  // Drops what is stored for a sequence outside its blocks (image features not yet used).
  virtual void Release(SequenceId sequence) = 0;

  // Clears blocks that may contain values that are not finite before another sequence gets them. This belongs
  // to no request: an error means that the device does not work.
  virtual absl::Status ClearBlocks(absl::Span<const BlockId> blocks) = 0;
};

}  // namespace varserve::engine
