#include "tools/calibrate/report.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace varserve::calibrate {
namespace {

constexpr size_t kMostVotesShown = 5;
constexpr int kMostBins = 33;

struct Bin {
  int64_t visual = 0;
  int64_t text = 0;
};

// The smallest round number that divides [0, largest] into few enough bins.
float BinWidth(float largest) {
  constexpr float kWidths[] = {0.25F, 0.5F, 1.0F, 2.0F, 5.0F};
  for (const float width : kWidths) {
    if (largest / width < kMostBins) return width;
  }
  return largest / kMostBins;
}

std::string Bar(absl::string_view block, int64_t count, double columns_each) {
  std::string bar;
  for (int64_t i = std::llround(std::ceil(static_cast<double>(count) * columns_each)); i > 0; --i) {
    absl::StrAppend(&bar, block);
  }
  return bar;
}

}  // namespace

std::string VoteTable(const std::map<int32_t, double>& votes) {
  std::vector<std::pair<double, int32_t>> sorted;
  for (const auto& [dimension, share] : votes) sorted.emplace_back(-share, dimension);
  std::sort(sorted.begin(), sorted.end());
  sorted.resize(std::min(sorted.size(), kMostVotesShown));
  std::string table = "dimension  votes\n";
  for (const auto& [share, dimension] : sorted) {
    absl::StrAppendFormat(&table, "%9d  %4.0f%%\n", dimension, -100.0 * share);
  }
  return table;
}

std::string LayerTable(const Calibration& calibration) {
  std::string table =
      "       visual    text  attention  largest  smallest\n"
      "layer   sinks   sinks   on sinks    other      sink  precision  recall\n";
  for (const LayerSummary& layer : calibration.layers) {
    absl::StrAppendFormat(&table, "%5d  %6.1f  %6.1f  %8.0f%%  %7.1f", layer.layer, layer.visual_sinks,
                          layer.text_sinks, 100.0 * layer.attention_on_sinks, layer.largest_other_phi);
    if (layer.smallest_sink_phi == 0.0F) {
      absl::StrAppend(&table, "         -          -       -\n");
      continue;
    }
    absl::StrAppendFormat(&table, "  %8.1f  %8.0f%%  %5.0f%%\n", layer.smallest_sink_phi,
                          100.0 * layer.agreement.precision(), 100.0 * layer.agreement.recall());
  }
  return table;
}

std::string PhiHistogram(const Calibration& calibration, absl::Span<const LayerObservation> observations,
                         int columns) {
  float largest = 0.0F;
  std::vector<std::pair<float, bool>> tokens;  // phi, visual
  for (const LayerObservation& observation : observations) {
    if (calibration.layers[observation.layer].smallest_sink_phi == 0.0F) continue;
    for (const TokenObservation& token : observation.tokens) {
      tokens.emplace_back(token.phi, token.visual);
      largest = std::max(largest, token.phi);
    }
  }
  const float width = BinWidth(largest);
  std::vector<Bin> bins(static_cast<size_t>(largest / width) + 1);
  for (const auto& [phi, visual] : tokens) {
    Bin& bin = bins[static_cast<size_t>(phi / width)];
    ++(visual ? bin.visual : bin.text);
  }
  int64_t most = 1;
  for (const Bin& bin : bins) most = std::max(most, bin.visual + bin.text);
  const double columns_each = static_cast<double>(columns) / static_cast<double>(most);

  std::string drawing = absl::StrFormat(
      "phi of %d tokens in the layers with sinks: \u2588 visual, \u2591 text\n", tokens.size());
  for (size_t b = 0; b < bins.size(); ++b) {
    const float low = static_cast<float>(b) * width;
    const bool holds_tau = calibration.threshold.tau >= low && calibration.threshold.tau < low + width;
    absl::StrAppendFormat(&drawing, "%6.2f %s\u2502%s%s %d\n", low, holds_tau ? "tau " : "    ",
                          Bar("\u2588", bins[b].visual, columns_each),
                          Bar("\u2591", bins[b].text, columns_each), bins[b].visual + bins[b].text);
  }
  return drawing;
}

}  // namespace varserve::calibrate
