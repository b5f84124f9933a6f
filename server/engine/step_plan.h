// What one step computes, and its results: plain data between the scheduler, which decides, and the model
// runner, which executes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/engine/request.h"
#include "server/engine/slot_layout.h"
#include "server/interventions/measurements.h"

namespace varserve::engine {

using SequenceId = uint64_t;  // unique for the lifetime of an engine

// An image of a sequence's prompt.
struct ImageRef {
  SequenceId sequence = 0;
  int image = 0;  // index in the prompt
  friend bool operator==(const ImageRef&, const ImageRef&) = default;
  friend bool operator<(const ImageRef& a, const ImageRef& b) {
    return std::tie(a.sequence, a.image) < std::tie(b.sequence, b.image);
  }
};

// Tokens [begin, end) of one sequence: one token in decode, a chunk in prefill. A chunk is either entirely
// inside or entirely after the prefix. One step may hold several chunks of one sequence, in order.
struct SequenceStep {
  SequenceId sequence = 0;
  const GenerationRequest* request = nullptr;  // lives as long as the sequence
  absl::Span<const int32_t> generated;         // tokens generated so far
  int begin = 0;
  int end = 0;
  absl::Span<const BlockId> blocks;  // block table, covers at least tokens [0, end)
  std::vector<int> encode_images;    // indices of prompt images that this chunk is the first to need: to run
                                     // through the vision tower before, if that was not done ahead
  bool sample = false;               // token end - 1 is the last known one; its logits give the next token
  // Of a sibling's step: the request's sequence.
  std::optional<SequenceId> sibling_of;
  // Of a sibling's step: token end - 1 is the last known one; its logits are combined with those of the step
  // of its request's sequence that samples, in the same plan.
  bool contrasts = false;
  // An attention map of the last token is requested: over the prompt's visual tokens, averaged over
  // map_layers. Never for a token of the prefix.
  bool map = false;

  bool needs_logits() const { return sample || contrasts; }
  SequenceId request_sequence() const { return sibling_of.value_or(sequence); }
};

struct StepPlan {
  // Decoding sequences first, then prefill chunks. All steps of a request are adjacent among each of these.
  std::vector<SequenceStep> steps;
  // Images that chunks of later steps need, to be encoded in parallel with steps from now on. Empty
  // unless ModelFacts::encodes_ahead.
  struct Encoding {
    ImageRef of;
    std::shared_ptr<const ProcessedImage> image;
  };
  std::vector<Encoding> encode_ahead;

  int num_tokens() const {
    int n = 0;
    for (const SequenceStep& step : steps) n += step.end - step.begin;
    return n;
  }
};

struct SequenceResult {
  absl::Status status;         // INTERNAL if this sequence's or its sibling's logits are not finite
  std::optional<Token> token;  // if the step samples
  // Measurements of the step's tokens: [ModelFacts::token_measures, layers, end - begin].
  std::vector<float> measures;
  // For each token of the step that the request's intervention acts on, and each layer: [tokens, layers]. 0
  // for layers that the intervention leaves unchanged. Empty without an intervention.
  std::vector<interventions::AttentionShares> rows;
  // Set if the step requested it.
  std::optional<interventions::AttentionMap> map;
};

struct StepOutput {
  std::vector<SequenceResult> results;  // one per SequenceStep, same order
};

}  // namespace varserve::engine
