// What the rows of both tables have in common: each is found by the message of its options. Thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>

#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

template <typename Options>
const google::protobuf::Message& DefaultOptions() {
  return Options::default_instance();
}

// The metrics of METHOD, of a class that several methods share.
template <typename Metrics, const char* METHOD>
std::unique_ptr<telemetry::ReportMetrics> MakeMetricsOf(const telemetry::MetricFamilies& families) {
  return std::make_unique<Metrics>(families, METHOD);
}

// REQUIRES: there is one.
template <typename Row, size_t SIZE>
const Row& RowOf(const Row (&table)[SIZE], const google::protobuf::Message& options) {
  return *std::find_if(std::begin(table), std::end(table), [&](const Row& row) {
    return row.default_options().GetDescriptor() == options.GetDescriptor();
  });
}

}  // namespace varserve::interventions
