// What the memory is for: decided once at start, so that nothing runs out of it later. Pure arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

// All sizes are bytes. What requests take in addition to the model is always in the host's memory, and so
// part of the budget only where the model is, too.
struct MemoryNeeds {
  int64_t budget = 0;  // for everything
  int64_t weights = 0;
  int64_t vision_tower = 0;    // peak of one image
  int64_t step = 0;            // peak of one step: activations, logits, explicit rows of VAR
  int64_t block = 0;           // one KV block
  int64_t most_blocks = 0;     // more could never be used
  int64_t images = 0;          // decoded, until their requests end, and those that are kept
  int64_t requests = 0;        // that arrive, wait for a worker, or are made prompts of
  int64_t replies = 0;         // attention maps of all that runs, and of as many replies on their way
  int64_t block_evidence = 0;  // what VAR saw in one KV block
  // Where the model is on a device of its own: what the host has for the rest.
  std::optional<int64_t> host_budget;
};

// One in this many KV blocks is reserved for callers that have nothing running.
inline constexpr int64_t kReservedShare = 8;

struct MemoryPlan {
  MemoryNeeds needs;
  int64_t num_blocks = 0;  // of the KV pool

  int64_t evidence() const { return num_blocks * needs.block_evidence; }
  // Of them, for callers who have nothing running.
  int64_t reserved_blocks() const { return num_blocks / kReservedShare; }
  // Lines for people, one an item.
  std::string ToTable() const;
};

// RESOURCE_EXHAUSTED, with the numbers, if no KV cache of useful size is left, or the host has too little.
absl::StatusOr<MemoryPlan> PlanMemory(const MemoryNeeds& needs);

struct RequestLimits {
  int max_running = 0;       // sequences of one caller
  int reserved_running = 0;  // sequences beyond them
  int prefill_budget = 0;    // prompt tokens in the same step
  int worker_threads = 0;
  int64_t image_memory = 0;       // bytes of all
  int64_t image_cache = 0;        // bytes of all
  int64_t receive_memory = 0;     // bytes of all
  int64_t max_message_bytes = 0;  // of each
  int64_t max_map_bytes = 0;      // of each
};

// Needs of a loaded model. `budget` 0 takes what is free, all but a tenth, plus the weights already loaded.
MemoryNeeds MeasureNeeds(const VisionLanguageModel& model, const RequestLimits& limits, int64_t budget);

}  // namespace varserve::model
