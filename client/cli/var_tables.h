// What VAR found and did, as tables for a terminal. Thread-safe.
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

// The setting and the totals.
std::string FormatTotals(const v1::VarReport& report);
// A row per layer; empty if the report has none.
std::string FormatLayers(const v1::VarReport& report);
// A row per token, with its position in the sequence; empty if the report has none.
std::string FormatTokens(const v1::VarReport& report);
// A column per answer: what VAR did, and where the answer leaves the first one's.
std::string FormatComparison(const std::vector<ComparedAnswer>& answers);

// Time and tokens: "23 tokens in 0.61 s, the first after 0.21 s; prompt 140 tokens, 100 visual, 112 cached".
std::string FormatUsage(const v1::Finished& finished);

}  // namespace varserve::cli
