// An explanation as the data of the report page. Thread-safe.
#pragma once

#include <nlohmann/json.hpp>

#include "client/explain/explanation.h"

namespace varserve::client {

// Attention is in millionths, rounded, so that maps stay short; every other share is in [0, 1]. report.js
// reads this.
nlohmann::json ReportData(const ExplainRequest& request, const Explanation& explanation);

}  // namespace varserve::client
