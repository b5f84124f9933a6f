// A calibration for people: a table, and phi of all tokens as a histogram. Pure functions of plain data.
#pragma once

#include <map>
#include <string>

#include "absl/types/span.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

// The dimensions with the most votes, elected or not, one a line.
std::string VoteTable(const std::map<int32_t, double>& votes);

// One line for every layer.
std::string LayerTable(const Calibration& calibration);

// phi of the tokens of all layers with sinks, bars up to `columns` wide.
std::string PhiHistogram(const Calibration& calibration, absl::Span<const LayerObservation> observations,
                         int columns);

}  // namespace varserve::calibrate
