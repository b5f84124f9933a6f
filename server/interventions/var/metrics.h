// What VAR found and did, as metrics: histograms over requests, and counters per decoder layer.
//
// Only for requests with `var` observe or on. Attention moved, and attention after moving, only for on. All
// series exist from the start, at zero, so that no first increase is lost. Thread-safe as described for
// ReportMetrics.
#pragma once

#include <array>
#include <vector>

#include "server/interventions/var/report.h"
#include "server/telemetry/metric_families.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

class VarMetrics final : public telemetry::ReportMetrics {
 public:
  explicit VarMetrics(const telemetry::MetricFamilies& families);

  void OnModelLoaded(int num_layers) override;
  void OnReport(const Report& report) override;

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
  std::array<std::vector<LayerSeries>, 3> layers_;  // [Mode][layer]
};

}  // namespace varserve::interventions
