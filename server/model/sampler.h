// Chooses the next token from logits: greedy or at random, as the request says. Plain C++ on the host, so the
// same on every device; a pure function of its arguments, so a seed gives the same tokens whatever else runs.
//
// Never sorts the vocabulary. Finds the candidates by blocks and buckets (token_ranking.h), or, if top_p
// leaves much of the probability in, by drawing from all tokens until one is in the nucleus. The result is
// that of the definition, in which tokens are sorted by probability, ties by id.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/engine/request.h"
#include "server/model/token_ranking.h"

namespace varserve::model {

// Whether a request needs all logits; otherwise the index of the largest is enough.
bool NeedsLogits(const engine::GenerationRequest& request);

// Keeps its memory, about 30 bytes per token of the vocabulary, between calls.
// Thread-compatible.
class Sampler {
 public:
  // logits: [V], finite but for -infinity. `prompt` and `generated` are the sequence so far, for the
  // repetition penalty. The order of steps is Hugging Face's: penalty, temperature, top_k, top_p.
  // Log-probabilities are those of the logits as given; -infinity is no alternative.
  engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                       absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);

 private:
  // Each token once, even if it occurs several times.
  absl::Span<const float> Penalized(absl::Span<const float> logits, float penalty,
                                    absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);
  int32_t Draw(absl::Span<const float> logits, const engine::SamplingParams& params, uint64_t step);
  // Sets candidates_ to those that top_k can let in.
  void FindMostProbable(absl::Span<const float> logits, const LogitBlocks& blocks, int top_k,
                        float temperature);
  // Sets weights_ and block_sums_; returns what all tokens weigh.
  double WeighAll(absl::Span<const float> logits, float largest, float temperature);
  // The token at which the weights, added in order of ids, exceed `weight`.
  int32_t TokenAt(double weight) const;
  // Draws from all tokens until one is within top_p.
  int32_t DrawByTrying(absl::Span<const float> logits, double total, const engine::SamplingParams& params,
                       uint64_t step) const;
  // Sets candidates_ to those that top_p can let in.
  void FindNucleus(absl::Span<const float> logits, const LogitBlocks& blocks, double total,
                   const engine::SamplingParams& params);
  void AddLogprobs(absl::Span<const float> logits, int count, engine::Token& token);

  std::vector<float> penalized_;  // [V]
  std::vector<double> weights_;   // [V], exp((logit - largest) / temperature)
  std::vector<double> block_sums_;
  Candidates candidates_;
};

}  // namespace varserve::model
