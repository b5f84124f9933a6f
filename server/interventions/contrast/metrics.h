// What contrasts did, as counters over requests, one series for each method. Every method has its own object;
// the families are shared. Thread-safe as described for ReportMetrics.
#pragma once

#include "server/telemetry/metric_families.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

class ContrastMetrics final : public telemetry::ReportMetrics {
 public:
  // `method`: ContrastReport::method of the reports that count.
  ContrastMetrics(const telemetry::MetricFamilies& families, const char* method);

  void OnModelLoaded(int /*num_layers*/) override {}
  void OnReport(const Report& report) override;

 private:
  const char* const method_;
  prometheus::Counter& sibling_tokens_;
  prometheus::Counter& sibling_cached_tokens_;
  prometheus::Counter& tokens_;
  prometheus::Counter& changed_tokens_;
};

}  // namespace varserve::interventions
