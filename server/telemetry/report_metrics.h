// What an intervention's reports add to the metrics.
#pragma once

#include <memory>
#include <vector>

#include "server/interventions/intervention.h"
#include "server/telemetry/metric_families.h"

namespace varserve::telemetry {

// OnModelLoaded comes once, before the first OnReport; otherwise thread-safe.
class ReportMetrics {
 public:
  virtual ~ReportMetrics() = default;
  // Adds the series of the decoder's layers.
  virtual void OnModelLoaded(int num_layers) = 0;
  // A request that ended well. Reports of other interventions are passed over.
  virtual void OnReport(const interventions::Report& report) = 0;
};

// Makes the families and their series; one for each intervention, see interventions/table/table.h.
using MakeReportMetrics = std::unique_ptr<ReportMetrics> (*)(const MetricFamilies& families);

}  // namespace varserve::telemetry
