// A calibration as text: tables, and a histogram of phi over all tokens. Pure functions of plain data.
#pragma once

#include <map>
#include <string>

#include "absl/types/span.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

// The dimensions with the most votes, elected or not, one per line.
std::string VoteTable(const std::map<int32_t, double>& votes);

// One line per layer.
std::string LayerTable(const Calibration& calibration);

// phi of the tokens of all layers with sinks, bars up to `columns` wide.
std::string PhiHistogram(const Calibration& calibration, absl::Span<const LayerObservation> observations,
                         int columns);

}  // namespace varserve::calibrate
