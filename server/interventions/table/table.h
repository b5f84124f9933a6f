// The interventions this server offers, one row each. A new one is a folder beside var/, a row in table.cc,
// and whatever the server's flags say about it in Defaults.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/interventions/setting/setting.h"
#include "server/interventions/var/options.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

// What the model and the server's flags say.
struct Defaults {
  VarDefaults var;
};

// What a request's options come to, by the row whose message this is. REQUIRES: there is one.
// INVALID_ARGUMENT beginning with the name of one of its fields, FAILED_PRECONDITION where the model does not
// allow it.
absl::StatusOr<std::shared_ptr<const Setting>> ReadOptions(const google::protobuf::Message& options,
                                                           const Defaults& defaults);
// Sets what requests get that say nothing. The errors of ReadOptions.
absl::Status DescribeDefaults(const Defaults& defaults, v1::Model& model);
// For the constructor of telemetry::Metrics.
std::vector<telemetry::MakeReportMetrics> ReportMetricsMakers();

}  // namespace varserve::interventions
