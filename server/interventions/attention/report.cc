#include "server/interventions/attention/report.h"

#include <utility>

#include "server/interventions/shares_mean.h"

namespace varserve::interventions {

std::unique_ptr<AttentionReport> MakeAttentionReport(const RowSetting& setting,
                                                     const Intervention& intervention,
                                                     SequenceEvidence evidence) {
  auto report = std::make_unique<AttentionReport>();
  report->method = setting.method;
  for (int layer = setting.row.first_layer; layer <= setting.row.last_layer; ++layer)
    report->layers.push_back({.layer = layer, .shares = {}});
  SharesMean total;
  std::vector<SharesMean> by_layer(report->layers.size());
  for (int position = 0; position < static_cast<int>(evidence.tokens.size()); ++position) {
    if (!intervention.ActsOn(evidence.prompt, position)) continue;
    SharesMean of_row;
    for (size_t i = 0; i < by_layer.size(); ++i) {
      const AttentionShares& shares = evidence.tokens[position].shares[report->layers[i].layer];
      for (SharesMean* mean : {&of_row, &by_layer[i], &total}) mean->Add(shares);
    }
    report->rows.push_back({.position = position, .shares = of_row.Get()});
  }
  report->totals = total.Get();
  for (size_t i = 0; i < by_layer.size(); ++i) report->layers[i].shares = by_layer[i].Get();
  report->maps = std::move(evidence.maps);
  return report;
}

}  // namespace varserve::interventions
