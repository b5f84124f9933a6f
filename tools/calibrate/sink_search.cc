#include "tools/calibrate/sink_search.h"

#include <algorithm>
#include <utility>

namespace varserve::calibrate {
namespace {

// In published decoders, the last sink dimension is 5 to 40 times as large as the next one, and the sink
// dimensions hold all but a few percent of a sink's energy. No other token comes close to both.
constexpr float kSteepDrop = 3.0F;
constexpr float kLeastEnergy = 0.75F;
// A dimension that is large at every token may still mark sinks (SmolLM2's 507 is half as large as at its
// sinks), but one that is equally large may not.
constexpr float kLeastOverOrdinary = 1.5F;

constexpr double kLeastVotes = 1.0 / 3.0;  // for a dimension
// of all layers of all prompts; with fewer, the model has no sinks
constexpr double kLeastVoters = 1.0 / 10.0;

// phi below this share of a layer's largest is treated as equal: ratios of small values mean nothing.
constexpr float kFloor = 0.1F;
constexpr float kLeastGap = 1.2F;
// Ranges that lie in this share of the maximum number of gaps are included; tau is the middle.
constexpr double kNearlyAsMany = 0.9;

}  // namespace

std::vector<int32_t> DominantDimensions(absl::Span<const Magnitude> largest, int width) {
  size_t count = 0;
  float steepest = 0.0F;
  for (size_t i = 1; i < largest.size(); ++i) {
    const float drop = largest[i - 1].value / std::max(largest[i].value, 1e-20F);
    if (drop > steepest) {
      steepest = drop;
      count = i;
    }
  }
  if (steepest < kSteepDrop) return {};
  std::vector<int32_t> dimensions;
  float energy = 0.0F;
  for (const Magnitude& m : largest.subspan(0, count)) {
    if (m.value < kLeastOverOrdinary * m.ordinary) continue;
    energy += m.value * m.value;
    dimensions.push_back(m.dimension);
  }
  if (energy < kLeastEnergy * static_cast<float>(width)) return {};
  return dimensions;
}

void DimensionVote::Add(absl::Span<const std::vector<int32_t>> tokens) {
  ++num_layers_;
  if (tokens.empty()) return;
  ++num_voters_;
  for (const std::vector<int32_t>& dimensions : tokens) {
    for (const int32_t d : dimensions) votes_[d] += 1.0 / static_cast<double>(tokens.size());
  }
}

std::map<int32_t, double> DimensionVote::Shares() const {
  std::map<int32_t, double> shares = votes_;
  for (auto& [dimension, votes] : shares) votes /= num_voters_;
  return shares;
}

std::vector<int32_t> DimensionVote::Elected() const {
  std::vector<int32_t> elected;
  if (num_voters_ < kLeastVoters * num_layers_) return elected;
  for (const auto& [dimension, share] : Shares()) {
    if (share >= kLeastVotes) elected.push_back(dimension);
  }
  return elected;
}

std::optional<Gap> FindGap(absl::Span<const float> phi, float sink) {
  std::vector<float> sorted(phi.begin(), phi.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::optional<Gap> gap;
  float largest = 0.0F;
  for (size_t i = 1; i < sorted.size(); ++i) {
    const Gap candidate{.low = sorted[i], .high = sorted[i - 1]};
    const float factor = candidate.high / std::max(candidate.low, kFloor * sorted.front());
    // The difference alone would separate BOS from all other sinks; the factor alone would separate small
    // values.
    const float size = (candidate.high - candidate.low) * factor;
    if (candidate.high <= sink && factor >= kLeastGap && size > largest) {
      largest = size;
      gap = candidate;
    }
  }
  return gap;
}

std::optional<Threshold> ChooseThreshold(absl::Span<const Gap> gaps) {
  if (gaps.empty()) return std::nullopt;
  std::map<float, int> changes;  // at the ends of gaps
  for (const Gap& gap : gaps) {
    ++changes[gap.low];
    --changes[gap.high];
  }
  std::vector<float> ends;
  std::vector<int> holding;  // number of gaps that contain [ends[i], ends[i + 1]]
  for (const auto& [end, change] : changes) {
    holding.push_back((holding.empty() ? 0 : holding.back()) + change);
    ends.push_back(end);
  }
  const auto most = std::max_element(holding.begin(), holding.end());
  const auto enough = [&](int n) { return n >= kNearlyAsMany * *most; };
  auto first = most;
  auto last = most;
  while (first != holding.begin() && enough(*(first - 1))) --first;
  while (last + 1 != holding.end() && enough(*(last + 1))) ++last;
  Threshold threshold;
  threshold.range = {.low = ends[first - holding.begin()], .high = ends[last - holding.begin() + 1]};
  threshold.tau = (threshold.range.low + threshold.range.high) / 2;
  threshold.agreed =
      static_cast<double>(std::count_if(
          gaps.begin(), gaps.end(),
          [&](const Gap& gap) { return gap.low < threshold.tau && threshold.tau <= gap.high; })) /
      static_cast<double>(gaps.size());
  return threshold;
}

}  // namespace varserve::calibrate
