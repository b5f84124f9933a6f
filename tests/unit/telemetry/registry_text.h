// What a registry exports, by series as Prometheus writes them, without the label `model`. For tests.
#pragma once

#include <prometheus/registry.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varserve::telemetry {

// "varserve_requests_running{}" -> value. Labels in order of their names. Histograms as _count and _sum.
inline std::map<std::string, double> SeriesOf(const prometheus::Registry& registry) {
  std::map<std::string, double> series;
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::vector<std::string> labels;
      for (const prometheus::ClientMetric::Label& label : metric.label) {
        if (label.name != "model") labels.push_back(absl::StrCat(label.name, "=", label.value));
      }
      std::sort(labels.begin(), labels.end());
      const std::string text = absl::StrCat("{", absl::StrJoin(labels, ","), "}");
      switch (family.type) {
        case prometheus::MetricType::Counter:
          series[family.name + text] = metric.counter.value;
          break;
        case prometheus::MetricType::Gauge:
          series[family.name + text] = metric.gauge.value;
          break;
        default:
          series[family.name + "_count" + text] = static_cast<double>(metric.histogram.sample_count);
          series[family.name + "_sum" + text] = metric.histogram.sample_sum;
      }
    }
  }
  return series;
}

}  // namespace varserve::telemetry
