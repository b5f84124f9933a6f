// The interventions that this server offers, one row each. A new one is a folder next to var/, its options in
// the API's Intervention, and a row in table.cc.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/interventions/attention/options.h"
#include "server/interventions/setting/setting.h"
#include "server/interventions/var/options.h"
#include "server/telemetry/report_metrics.h"

namespace varserve::interventions {

// What the model and the server's flags determine.
struct Defaults {
  VarDefaults var;
  AttentionDefaults attention;
};

// The setting for a request's options, by the row whose message this is. REQUIRES: there is one.
// INVALID_ARGUMENT beginning with the name of one of its fields, or FAILED_PRECONDITION if the model does not
// support it.
absl::StatusOr<std::shared_ptr<const Setting>> ReadOptions(const google::protobuf::Message& options,
                                                           const Defaults& defaults);
// The setting of a request whose intervention changes no attention.
absl::StatusOr<std::shared_ptr<const Setting>> OffSetting(const Defaults& defaults);
// Describes the methods, and the setting of requests without options. Errors: see ReadOptions.
absl::Status DescribeDefaults(const Defaults& defaults, v1::Model& model);
// Argument for the constructor of telemetry::Metrics.
std::vector<telemetry::MakeReportMetrics> ReportMetricsMakers();

}  // namespace varserve::interventions
