// Chooses the next token from logits: greedy or at random, as the request says. Plain C++ on the host, so the
// same on every device; a pure function of its arguments, so a seed gives the same tokens whatever else runs.
//
// A random token is the first one, by descending probability and then by id, at which the probabilities add
// up to more than a uniform number. The vocabulary is never sorted for it: blocks and buckets find the
// candidates (token_ranking.h). Nor are all logits needed: where a GPU has found the largest ones
// (leading_tokens.h), the token is nearly always among them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "server/backend/leading_tokens.h"
#include "server/engine/request.h"
#include "server/engine/step_plan.h"
#include "server/model/token_ranking.h"

namespace varserve::model {

// What a step's next token is chosen from. A sibling's logits are combined with its request's: all of both.
enum class LogitsNeeded { kLargest, kLeading, kAll };
LogitsNeeded LogitsNeededBy(const engine::SequenceStep& step);

// Keeps its memory, about 30 bytes per token of the vocabulary, between calls.
// Thread-compatible.
class Sampler {
 public:
  // logits: [V], finite but for -infinity. `prompt` and `generated` are the sequence so far, for the
  // repetition penalty. The order of steps is Hugging Face's: penalty, temperature, top_k, top_p.
  // Log-probabilities are those of the logits as given; -infinity is no alternative.
  engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                       absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);
  // The same from the leading tokens of [V] logits, where that is enough; up to the rounding of their sums.
  // step: number of tokens generated so far. Without a repetition penalty.
  std::optional<engine::Token> Sample(const backend::LeadingTokens& leading, int64_t vocabulary,
                                      const engine::SamplingParams& params, size_t step);

 private:
  // Each token once, even if it occurs several times.
  absl::Span<const float> Penalized(absl::Span<const float> logits, float penalty,
                                    absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);
  int32_t DrawFromAll(absl::Span<const float> logits, const engine::SamplingParams& params, double uniform);
  // Sets the candidates to the tokens whose logits reach `threshold`.
  void TakeFrom(absl::Span<const float> logits, const LogitBlocks& blocks, float threshold);
  void TakeFrom(const backend::LeadingTokens& leading, float threshold);
  // Sets the candidates' weights; returns their sum.
  double WeighCandidates(float largest, float temperature);
  // The id of a candidate. As Draw in sampler.cc.
  std::optional<int32_t> DrawCandidate(const engine::SamplingParams& params, double uniform, double total,
                                       bool complete) const;
  // The `count` best of the candidates.
  void AddLogprobs(int count, float logit, double log_sum, engine::Token& token) const;

  std::vector<float> penalized_;  // [V]
  std::vector<double> weights_;   // [V], exp((logit - largest) / temperature)
  // Tokens that may be drawn, in order of ids.
  struct {
    std::vector<int32_t> ids;
    std::vector<float> logits;
    std::vector<double> weights;
  } candidates_;
};

}  // namespace varserve::model
