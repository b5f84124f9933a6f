#include "server/interventions/table/table.h"

#include "server/base/status_macros.h"
#include "server/interventions/attention/metrics.h"
#include "server/interventions/pai/pai.h"
#include "server/interventions/spin/spin.h"
#include "server/interventions/table/contrast_table.h"
#include "server/interventions/table/row.h"
#include "server/interventions/vaf/vaf.h"
#include "server/interventions/var/metrics.h"
#include "server/interventions/var/var_setting.h"

namespace varserve::interventions {
namespace {

using google::protobuf::Message;

template <typename Metrics>
std::unique_ptr<telemetry::ReportMetrics> MakeMetrics(const telemetry::MetricFamilies& families) {
  return std::make_unique<Metrics>(families);
}

absl::StatusOr<std::shared_ptr<const Setting>> ReadVarRow(const Message& options, const Defaults& defaults) {
  return ReadVarSetting(static_cast<const v1::VarOptions&>(options), defaults.var);
}
template <typename Options,
          absl::StatusOr<std::shared_ptr<const Setting>> (*READ)(const Options&, const AttentionDefaults&)>
absl::StatusOr<std::shared_ptr<const Setting>> ReadRow(const Message& options, const Defaults& defaults) {
  return READ(static_cast<const Options&>(options), defaults.attention);
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
     .read = ReadVarRow,
     .make_metrics = MakeMetrics<VarMetrics>},
    {.default_options = DefaultOptions<v1::PaiOptions>,
     .read = ReadRow<v1::PaiOptions, ReadPai>,
     .make_metrics = MakeMetricsOf<AttentionMetrics, kPai>},
    {.default_options = DefaultOptions<v1::VafOptions>,
     .read = ReadRow<v1::VafOptions, ReadVaf>,
     .make_metrics = MakeMetricsOf<AttentionMetrics, kVaf>},
    {.default_options = DefaultOptions<v1::SpinOptions>,
     .read = ReadRow<v1::SpinOptions, ReadSpin>,
     .make_metrics = MakeMetricsOf<AttentionMetrics, kSpin>},
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Setting>> ReadOptions(const Message& options, const Defaults& defaults) {
  return RowOf(kTable, options).read(options, defaults);
}

absl::StatusOr<std::shared_ptr<const Setting>> OffSetting(const Defaults& defaults) {
  v1::VarOptions off;
  off.set_mode(v1::VAR_MODE_OFF);
  return ReadVarSetting(off, defaults.var);
}

absl::Status DescribeDefaults(const Defaults& defaults, v1::Model& model) {
  for (const Row& row : kTable) {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Setting> setting, row.read(row.default_options(), defaults));
    setting->Describe(model);
  }
  DescribeContrasts(model);
  return absl::OkStatus();
}

std::vector<telemetry::MakeReportMetrics> ReportMetricsMakers() {
  std::vector<telemetry::MakeReportMetrics> makers;
  for (const Row& row : kTable) makers.push_back(row.make_metrics);
  for (const telemetry::MakeReportMetrics make : ContrastMetricsMakers()) makers.push_back(make);
  return makers;
}

}  // namespace varserve::interventions
