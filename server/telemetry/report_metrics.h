// Metrics made from an intervention's reports.
#pragma once

#include <memory>
#include <vector>

#include "server/interventions/intervention.h"
#include "server/telemetry/metric_families.h"

namespace varserve::telemetry {

// Thread-safe after OnModelLoaded, which is called once, before the first OnReport.
class ReportMetrics {
 public:
  virtual ~ReportMetrics() = default;
  // Adds one series per decoder layer.
  virtual void OnModelLoaded(int num_layers) = 0;
  // A request that succeeded. Reports of other interventions are ignored.
  virtual void OnReport(const interventions::Report& report) = 0;
};

// Creates the families and their series. One function per intervention, see interventions/table/table.h.
using MakeReportMetrics = std::unique_ptr<ReportMetrics> (*)(const MetricFamilies& families);

}  // namespace varserve::telemetry
