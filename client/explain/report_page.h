// The report page: one HTML file that needs nothing else. Thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace varserve::client {

// `data` is what ReportData makes; nothing in it can break out of its place in the page.
std::string ReportPage(const nlohmann::json& data);

}  // namespace varserve::client
