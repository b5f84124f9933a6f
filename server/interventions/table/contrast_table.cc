#include "server/interventions/table/contrast_table.h"

#include "server/interventions/contrast/metrics.h"
#include "server/interventions/icd/icd.h"
#include "server/interventions/m3id/m3id.h"
#include "server/interventions/pai/pai.h"
#include "server/interventions/table/row.h"
#include "server/interventions/vcd/vcd.h"

namespace varserve::interventions {
namespace {

using google::protobuf::Message;
using SettingOr = absl::StatusOr<std::shared_ptr<const ContrastSetting>>;

template <typename Options, SettingOr (*READ)(const Options&)>
SettingOr ReadRow(const Message& options) {
  return READ(static_cast<const Options&>(options));
}

struct Row {
  // The options message of the API.
  const Message& (*default_options)();
  // `options` has that type. Errors: see ReadContrast.
  SettingOr (*read)(const Message& options);
  telemetry::MakeReportMetrics make_metrics;
};

constexpr Row kTable[] = {
    {DefaultOptions<v1::VcdOptions>, ReadRow<v1::VcdOptions, ReadVcd>, MakeMetricsOf<ContrastMetrics, kVcd>},
    {DefaultOptions<v1::IcdOptions>, ReadRow<v1::IcdOptions, ReadIcd>, MakeMetricsOf<ContrastMetrics, kIcd>},
    {DefaultOptions<v1::M3idOptions>, ReadRow<v1::M3idOptions, ReadM3id>,
     MakeMetricsOf<ContrastMetrics, kM3id>},
};

}  // namespace

SettingOr ReadContrast(const Message& options) { return RowOf(kTable, options).read(options); }

std::shared_ptr<const ContrastSetting> ContrastWithin(const Message& options) {
  if (options.GetDescriptor() != v1::PaiOptions::descriptor()) return nullptr;
  return PaiContrast(static_cast<const v1::PaiOptions&>(options));
}

void DescribeContrasts(v1::Model& model) {
  // Defaults are in range.
  for (const Row& row : kTable) *model.add_interventions() = (*row.read(row.default_options()))->effective;
}

std::vector<telemetry::MakeReportMetrics> ContrastMetricsMakers() {
  std::vector<telemetry::MakeReportMetrics> makers = {MakeMetricsOf<ContrastMetrics, kPai>};
  for (const Row& row : kTable) makers.push_back(row.make_metrics);
  return makers;
}

}  // namespace varserve::interventions
