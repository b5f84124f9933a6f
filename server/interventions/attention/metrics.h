// What interventions on rows found and did, as histograms over requests, one series for each method. Every
// method has its own object; the families are shared. Thread-safe as described for ReportMetrics.
#pragma once

#include "server/telemetry/metric_families.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

class AttentionMetrics final : public telemetry::ReportMetrics {
 public:
  // `method`: AttentionReport::method of the reports that count.
  AttentionMetrics(const telemetry::MetricFamilies& families, const char* method);

  void OnModelLoaded(int /*num_layers*/) override {}
  void OnReport(const Report& report) override;

 private:
  const char* const method_;
  prometheus::Histogram& changed_heads_;
  prometheus::Histogram& visual_before_;
  prometheus::Histogram& visual_after_;
};

}  // namespace varserve::interventions
