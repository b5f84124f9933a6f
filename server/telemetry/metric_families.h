// Creates the metric families of one server: every name begins with varserve_, every series has the label
// `model`. An existing family is returned again. Thread-safe.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

namespace varserve::telemetry {

class MetricFamilies {
 public:
  explicit MetricFamilies(const std::string& model);

  const std::shared_ptr<prometheus::Registry>& registry() const { return registry_; }

  prometheus::Family<prometheus::Counter>& Counter(const char* name, const char* help) const;
  prometheus::Family<prometheus::Gauge>& Gauge(const char* name, const char* help) const;
  prometheus::Family<prometheus::Histogram>& Histogram(const char* name, const char* help) const;

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  const prometheus::Labels model_;
};

}  // namespace varserve::telemetry
