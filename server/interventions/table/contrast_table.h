// The contrasts that this server offers, one row each, in addition to PAI's. A new one is a folder next to
// vcd/, its options in the API's Intervention, and a row in contrast_table.cc. Every backend has them.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "server/telemetry/report_metrics.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::interventions {

// The contrast for a request's options, by the row whose message this is. REQUIRES: there is one.
// INVALID_ARGUMENT beginning with the name of one of its fields.
absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadContrast(const google::protobuf::Message& options);
// The contrast that is part of a method of the other table; null if there is none. REQUIRES: ReadOptions
// accepts the options.
std::shared_ptr<const ContrastSetting> ContrastWithin(const google::protobuf::Message& options);
// Adds every row with the defaults of its options.
void DescribeContrasts(v1::Model& model);
// See ReportMetricsMakers.
std::vector<telemetry::MakeReportMetrics> ContrastMetricsMakers();

}  // namespace varserve::interventions
