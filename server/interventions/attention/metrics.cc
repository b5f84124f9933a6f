#include "server/interventions/attention/metrics.h"

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/interventions/attention/report.h"

namespace varserve::interventions {
namespace {

const std::vector<double> kRatios = {0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};

prometheus::Histogram& Visual(const telemetry::MetricFamilies& families, const char* method,
                              const char* stage) {
  return families
      .Histogram("intervention_visual_attention_ratio",
                 "Attention on visual tokens before and after an intervention other than VAR, mean over the "
                 "rows, heads and layers that it changed in a request.")
      .Add({{"method", method}, {"stage", stage}}, kRatios);
}

}  // namespace

AttentionMetrics::AttentionMetrics(const telemetry::MetricFamilies& families, const char* method)
    : method_(method),
      changed_heads_(families
                         .Histogram("intervention_changed_head_ratio",
                                    "Share of a request's (row, head, layer) combinations that an "
                                    "intervention other than VAR changed.")
                         .Add({{"method", method}}, kRatios)),
      visual_before_(Visual(families, method, "before")),
      visual_after_(Visual(families, method, "after")) {}

void AttentionMetrics::OnReport(const Report& any_report) {
  const auto* report = dynamic_cast<const AttentionReport*>(&any_report);
  if (report == nullptr || absl::string_view(report->method) != method_ || report->rows.empty()) return;
  changed_heads_.Observe(report->totals.changed_heads);
  visual_before_.Observe(report->totals.visual_before);
  visual_after_.Observe(report->totals.visual_after);
}

}  // namespace varserve::interventions
