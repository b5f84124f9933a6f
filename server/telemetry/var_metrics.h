// What VAR found and did, as metrics: histograms over requests, and counters per decoder layer.
//
// Requests with `var` observe or on only; what was moved, and attention after moving, for on only. All series
// exist from the start, at zero, so that no first increase is lost. OnModelLoaded comes once, before the
// first OnReport; otherwise thread-safe.
#pragma once

#include <array>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/engine/var_report.h"
#include "server/telemetry/metric_families.h"

namespace varserve::telemetry {

class VarMetrics {
 public:
  explicit VarMetrics(const MetricFamilies& families);

  // Adds the layers' series.
  void OnModelLoaded(int num_layers);
  // A request that ended well. `preset`: see RequestRecord in metrics.h.
  void OnReport(const engine::VarReport& report, absl::string_view preset);

 private:
  struct LayerSeries {
    prometheus::Counter* visual_sinks;
    prometheus::Counter* text_sinks;
    prometheus::Counter* rows;
    prometheus::Counter* redistributed;  // null for observe
  };

  prometheus::Family<prometheus::Histogram>& sinks_;
  prometheus::Family<prometheus::Histogram>& redistributed_ratio_;
  prometheus::Family<prometheus::Histogram>& image_centric_;
  prometheus::Family<prometheus::Histogram>& visual_;
  prometheus::Family<prometheus::Counter>& redistributed_;
  prometheus::Family<prometheus::Counter>& layer_sinks_;
  prometheus::Family<prometheus::Counter>& layer_redistributed_;
  prometheus::Family<prometheus::Counter>& layer_rows_;
  std::array<std::vector<LayerSeries>, 3> layers_;  // [VarMode][layer]
};

}  // namespace varserve::telemetry
