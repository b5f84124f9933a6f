#include "server/telemetry/metric_families.h"

#include "absl/strings/str_cat.h"

namespace varserve::telemetry {
namespace {

template <typename Builder>
auto& Register(Builder builder, const char* name, const char* help, const prometheus::Labels& labels,
               prometheus::Registry& registry) {
  return builder.Name(absl::StrCat("varserve_", name)).Help(help).Labels(labels).Register(registry);
}

}  // namespace

MetricFamilies::MetricFamilies(const std::string& model)
    : registry_(std::make_shared<prometheus::Registry>()), model_({{"model", model}}) {}

prometheus::Family<prometheus::Counter>& MetricFamilies::Counter(const char* name, const char* help) const {
  return Register(prometheus::BuildCounter(), name, help, model_, *registry_);
}

prometheus::Family<prometheus::Gauge>& MetricFamilies::Gauge(const char* name, const char* help) const {
  return Register(prometheus::BuildGauge(), name, help, model_, *registry_);
}

prometheus::Family<prometheus::Histogram>& MetricFamilies::Histogram(const char* name,
                                                                     const char* help) const {
  return Register(prometheus::BuildHistogram(), name, help, model_, *registry_);
}

}  // namespace varserve::telemetry
