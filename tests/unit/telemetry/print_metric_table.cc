// Prints the tables of docs/metrics.md.
#include <cstdio>

#include "server/interventions/table/table.h"
#include "server/telemetry/metrics.h"
#include "tests/unit/telemetry/metric_table.h"

int main() {
  varserve::telemetry::Metrics metrics("model", "version", varserve::interventions::ReportMetricsMakers());
  metrics.OnModelLoaded({.dtype = "dtype", .device = "device", .num_layers = 1});
  std::fputs(varserve::telemetry::MetricTable(metrics.registry()->Collect()).c_str(), stdout);
}
