#include "server/interventions/table/table.h"

#include <algorithm>

#include "server/base/status_macros.h"
#include "server/interventions/var/metrics.h"
#include "server/interventions/var/var_setting.h"

namespace varserve::interventions {
namespace {

using google::protobuf::Message;

template <typename Options>
const Message& DefaultOptions() {
  return Options::default_instance();
}

template <typename Metrics>
std::unique_ptr<telemetry::ReportMetrics> MakeMetrics(const telemetry::MetricFamilies& families) {
  return std::make_unique<Metrics>(families);
}

absl::StatusOr<std::shared_ptr<const Setting>> ReadVar(const Message& options, const Defaults& defaults) {
  return ReadVarSetting(static_cast<const v1::VarOptions&>(options), defaults.var);
}

struct Row {
  // The options message of the API.
  const Message& (*default_options)();
  // `options` has that type. Errors: see ReadOptions.
  absl::StatusOr<std::shared_ptr<const Setting>> (*read)(const Message& options, const Defaults& defaults);
  telemetry::MakeReportMetrics make_metrics;
};

constexpr Row kTable[] = {
    {.default_options = DefaultOptions<v1::VarOptions>,
     .read = ReadVar,
     .make_metrics = MakeMetrics<VarMetrics>},
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Setting>> ReadOptions(const Message& options, const Defaults& defaults) {
  const Row& row = *std::find_if(std::begin(kTable), std::end(kTable), [&](const Row& r) {
    return r.default_options().GetDescriptor() == options.GetDescriptor();
  });
  return row.read(options, defaults);
}

absl::Status DescribeDefaults(const Defaults& defaults, v1::Model& model) {
  for (const Row& row : kTable) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Setting> setting, row.read(row.default_options(), defaults));
    setting->Describe(model);
  }
  return absl::OkStatus();
}

std::vector<telemetry::MakeReportMetrics> ReportMetricsMakers() {
  std::vector<telemetry::MakeReportMetrics> makers;
  for (const Row& row : kTable) makers.push_back(row.make_metrics);
  return makers;
}

}  // namespace varserve::interventions
