// What an intervention on rows found and did in one request, computed from the evidence of its tokens.
// Meanings and units: see intervention.proto. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/interventions/attention/row_intervention.h"
#include "server/interventions/measurements.h"

namespace varserve::interventions {

struct AttentionReport final : Report {
  struct Layer {
    int layer = 0;
    AttentionShares shares;
  };
  struct Row {  // one token, mean over the setting's layers
    int position = 0;
    AttentionShares shares;
  };

  const char* method = "";
  AttentionShares totals;     // mean over rows and layers
  std::vector<Layer> layers;  // those of the setting
  std::vector<Row> rows;
  std::vector<AttentionMap> maps;
};

// `intervention`: made from the setting.
std::unique_ptr<AttentionReport> MakeAttentionReport(const RowSetting& setting,
                                                     const Intervention& intervention,
                                                     SequenceEvidence evidence);

}  // namespace varserve::interventions
