#include "server/interventions/contrast/metrics.h"

#include "absl/strings/string_view.h"
#include "server/interventions/contrast/report.h"

namespace varserve::interventions {

ContrastMetrics::ContrastMetrics(const telemetry::MetricFamilies& families, const char* method)
    : method_(method),
      sibling_tokens_(families
                          .Counter("sibling_prompt_tokens_total",
                                   "Prompt tokens of the siblings of contrasts, including visual tokens.")
                          .Add({{"method", method}})),
      sibling_cached_tokens_(
          families
              .Counter("sibling_cached_tokens_total",
                       "Prompt tokens of siblings that the prefix cache or the request's own "
                       "sequence had.")
              .Add({{"method", method}})),
      tokens_(families
                  .Counter("contrast_tokens_total",
                           "Tokens chosen from the logits of a request's sequence and its sibling.")
                  .Add({{"method", method}})),
      changed_tokens_(
          families
              .Counter("contrast_changed_tokens_total",
                       "Of those chosen with a contrast, the tokens whose most probable choice it changed.")
              .Add({{"method", method}})) {}

void ContrastMetrics::OnReport(const Report& any_report) {
  const auto* report = dynamic_cast<const ContrastReport*>(&any_report);
  if (report == nullptr || absl::string_view(report->method) != method_) return;
  sibling_tokens_.Increment(static_cast<double>(report->sibling_prompt_tokens));
  sibling_cached_tokens_.Increment(static_cast<double>(report->sibling_cached_tokens));
  tokens_.Increment(static_cast<double>(report->tokens));
  changed_tokens_.Increment(static_cast<double>(report->changed_tokens));
}

}  // namespace varserve::interventions
