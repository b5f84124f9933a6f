// Finds which hidden dimensions make sinks in a decoder (D_sink) and from which phi (tau), given measurements
// of a few prompts. Pure arithmetic on plain numbers, no model. docs/calibration.md describes the method.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace varserve::calibrate {

// One dimension of a token's hidden state x: |x[d]| divided by the root mean square of x. The squares over
// all dimensions add up to the width.
struct Magnitude {
  int32_t dimension = 0;
  float value = 0.0F;
  float ordinary = 0.0F;  // value of the same dimension in the median token
};

// Number of a token's largest dimensions to look at; sinks never have more.
inline constexpr int kLargest = 9;

// The dimensions in which a hidden state is concentrated: the largest ones down to a steep drop. Empty if
// there is no such drop, if they do not hold most of the energy, or if they are equally large in all tokens.
//   largest: up to kLargest, in descending order
std::vector<int32_t> DominantDimensions(absl::Span<const Magnitude> largest, int width);

// Every layer of every prompt has one vote, shared by its concentrated tokens.
class DimensionVote {
 public:
  // `tokens`: DominantDimensions of the tokens of one layer of one prompt, without empty ones.
  void Add(absl::Span<const std::vector<int32_t>> tokens);

  // Share of the votes, by dimension.
  std::map<int32_t, double> Shares() const;
  // Dimensions with enough votes, in ascending order; empty if too few layers had concentrated tokens.
  std::vector<int32_t> Elected() const;

 private:
  int num_layers_ = 0;  // all layers that were added
  int num_voters_ = 0;  // layers with tokens
  std::map<int32_t, double> votes_;
};

// A range of phi with no token strictly inside.
struct Gap {
  float low = 0.0F;
  float high = 0.0F;
};

// The gap between the sinks of one layer of one prompt and its other tokens: the largest drop in sorted phi,
// measured as difference times factor. nullopt if nothing stands out.
//   phi: of all tokens   sink: phi of a token that is known to be a sink
std::optional<Gap> FindGap(absl::Span<const float> phi, float sink);

struct Threshold {
  float tau = 0.0F;
  Gap range;          // any tau in this range works nearly as well
  double agreed = 0;  // share of the gaps that contain tau
};

// The tau that separates sinks in as many layers as possible: the middle of the range that lies in the most
// gaps.
std::optional<Threshold> ChooseThreshold(absl::Span<const Gap> gaps);

}  // namespace varserve::calibrate
