// The metrics of a registry as tables in Markdown: what docs/metrics.md shows. Thread-safe.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace varserve::telemetry {

// Families by name: type, unit, labels but `model`, help; then the buckets of the histograms.
std::string MetricTable(std::vector<prometheus::MetricFamily> families);

}  // namespace varserve::telemetry
