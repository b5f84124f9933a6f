// What interventions found and did, as tables for a terminal. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "varserve/v1/inference.pb.h"

namespace varserve::cli {

// One answer of a comparison.
struct ComparedAnswer {
  std::string label;
  std::vector<uint32_t> token_ids;
  v1::Finished finished;
};

// Each is empty if the report has nothing of the kind, or the answer has no report.
struct ReportTables {
  std::string totals;  // and the setting
  std::string layers;  // a row per layer
  std::string tokens;  // a row per token, with its position in the sequence
};
ReportTables FormatReport(const v1::Finished& finished);
// A column per answer: what its intervention did, and where the answer leaves the first one's.
std::string FormatComparison(const std::vector<ComparedAnswer>& answers);

// Time and tokens: "23 tokens in 0.61 s, the first after 0.21 s; prompt 140 tokens, 100 visual, 112 cached".
std::string FormatUsage(const v1::Finished& finished);

}  // namespace varserve::cli
