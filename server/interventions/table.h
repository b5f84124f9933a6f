// The interventions this server offers, one row each. A new one is a folder beside var/, a row in table.cc,
// and whatever the server's flags say about it in Defaults.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/interventions/setting.h"
#include "server/interventions/var/options.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

// What the model and the server's flags say.
struct Defaults {
  VarDefaults var;
};

struct Row {
  // Of the API's message that asks for it.
  const google::protobuf::Message& (*default_options)();
  // `options` is of that type. INVALID_ARGUMENT beginning with the name of one of its fields,
  // FAILED_PRECONDITION where the model does not allow it.
  absl::StatusOr<std::shared_ptr<const Setting>> (*read)(const google::protobuf::Message& options,
                                                         const Defaults& defaults);
  telemetry::MakeReportMetrics make_metrics;
};

// By the row whose options these are. REQUIRES: there is one.
absl::StatusOr<std::shared_ptr<const Setting>> ReadOptions(const google::protobuf::Message& options,
                                                           const Defaults& defaults);
// Sets what requests get that say nothing. The errors of Row::read.
absl::Status DescribeDefaults(const Defaults& defaults, v1::Model& model);
// For the constructor of telemetry::Metrics.
std::vector<telemetry::MakeReportMetrics> ReportMetricsMakers();

}  // namespace varserve::interventions
