#include "tests/unit/telemetry/metric_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace varserve::telemetry {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

std::string TypeName(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Histogram:
      return "histogram";
    default:
      return "other";
  }
}

// Names end with their base unit, counters with _total after it.
std::string Unit(absl::string_view name) {
  absl::ConsumeSuffix(&name, "_total");
  if (absl::EndsWith(name, "_seconds")) return "s";
  if (absl::EndsWith(name, "_ratio")) return "0 to 1";
  if (absl::EndsWith(name, "_bytes")) return "bytes";
  if (absl::EndsWith(name, "tokens")) return "tokens";
  return "";
}

std::string LabelNames(const MetricFamily& family) {
  std::set<std::string> names;
  for (const prometheus::ClientMetric& metric : family.metric) {
    for (const prometheus::ClientMetric::Label& label : metric.label) {
      if (label.name != "model") names.insert(absl::StrCat("`", label.name, "`"));
    }
  }
  return absl::StrJoin(names, " ");
}

std::string Buckets(const MetricFamily& family) {
  std::vector<double> bounds;
  for (const prometheus::ClientMetric::Bucket& bucket : family.metric.front().histogram.bucket) {
    if (std::isfinite(bucket.upper_bound)) bounds.push_back(bucket.upper_bound);
  }
  return absl::StrJoin(bounds, " ");
}

}  // namespace

std::string MetricTable(std::vector<MetricFamily> families) {
  std::sort(families.begin(), families.end(),
            [](const MetricFamily& a, const MetricFamily& b) { return a.name < b.name; });
  std::string table = "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n";
  std::map<std::string, std::vector<std::string>> by_buckets;
  for (const MetricFamily& family : families) {
    absl::StrAppend(&table, "| `", family.name, "` | ", TypeName(family.type), " | ", Unit(family.name),
                    " | ", LabelNames(family), " | ", family.help, " |\n");
    if (family.type == MetricType::Histogram) {
      by_buckets[Buckets(family)].push_back(absl::StrCat("`", family.name, "`"));
    }
  }
  absl::StrAppend(&table, "\n| bucket bounds | metrics |\n|---|---|\n");
  for (const auto& [buckets, names] : by_buckets) {
    absl::StrAppend(&table, "| ", buckets, " | ", absl::StrJoin(names, " "), " |\n");
  }
  return table;
}

}  // namespace varserve::telemetry
