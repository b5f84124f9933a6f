// Finds out which hidden dimensions make sinks in a decoder (D_sink) and from which phi on (tau), from what a
// few prompts showed: pure arithmetic on plain numbers, no model. docs/calibration.md describes the method.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace varserve::calibrate {

// One dimension of a token's hidden state x: |x[d]| over the root mean square of x. The squares of all
// dimensions' values sum to the width.
struct Magnitude {
  int32_t dimension = 0;
  float value = 0.0F;
  float ordinary = 0.0F;  // the same dimension's value at the middle one of all tokens
};

// So many of a token's largest dimensions are looked at; more than that never make sinks.
inline constexpr int kLargest = 9;

// The dimensions a hidden state is concentrated in: its largest ones up to where the values drop steeply.
// Empty if there is no such drop, if they do not hold most of the energy, or if they are as large everywhere.
//   largest: up to kLargest, in descending order
std::vector<int32_t> DominantDimensions(absl::Span<const Magnitude> largest, int width);

// Every layer of every prompt has one vote, shared by the tokens that are concentrated in something there.
class DimensionVote {
 public:
  // `tokens`: DominantDimensions, none empty, of the tokens of one layer of one prompt.
  void Add(absl::Span<const std::vector<int32_t>> tokens);

  // Share of the votes by dimension.
  std::map<int32_t, double> Shares() const;
  // Dimensions named by enough votes, in ascending order; none if too few layers had such tokens at all.
  std::vector<int32_t> Elected() const;

 private:
  int num_layers_ = 0;  // all that were added
  int num_voters_ = 0;  // those with tokens
  std::map<int32_t, double> votes_;
};

// Nothing in a layer has a phi strictly between low and high.
struct Gap {
  float low = 0.0F;
  float high = 0.0F;
};

// The gap between the sinks of one layer of one prompt and its other tokens: where sorted phi drops most, by
// difference times factor. None if nothing stands out.
//   phi: of all tokens   sink: phi of a token that is known to be a sink
std::optional<Gap> FindGap(absl::Span<const float> phi, float sink);

struct Threshold {
  float tau = 0.0F;
  Gap range;          // wherein any tau would serve nearly as well
  double agreed = 0;  // share of the gaps that hold tau
};

// The tau that separates sinks in as many layers as possible: in the middle of the values most gaps hold.
std::optional<Threshold> ChooseThreshold(absl::Span<const Gap> gaps);

}  // namespace varserve::calibrate
