// What the memory is for: decided once at start, so that nothing runs out of it later. Pure arithmetic.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/model/llava_model.h"

namespace varserve::model {

struct MemoryNeeds {
  int64_t budget = 0;  // bytes for everything
  int64_t weights = 0;
  int64_t vision_tower = 0;  // peak of one image
  int64_t step = 0;          // peak of one step: activations, logits, explicit rows of VAR
  int64_t block_bytes = 0;   // of one KV block
  int64_t most_blocks = 0;   // more could never be used
};

struct MemoryPlan {
  MemoryNeeds needs;
  int64_t num_blocks = 0;  // of the KV pool

  // Lines for people, one an item.
  std::string ToTable() const;
};

// RESOURCE_EXHAUSTED, with the numbers, if no KV cache of useful size is left.
absl::StatusOr<MemoryPlan> PlanMemory(const MemoryNeeds& needs);

struct StepLimits {
  int max_running = 0;     // sequences that decode in one step
  int prefill_budget = 0;  // prompt tokens beside them
};

// Needs of a loaded model. `budget` 0 takes what is free, all but a tenth, plus the weights already loaded.
MemoryNeeds MeasureNeeds(const LlavaModel& model, const StepLimits& limits, int64_t budget);

}  // namespace varserve::model
