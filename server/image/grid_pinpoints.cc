#include "server/image/grid_pinpoints.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace varserve::image {
namespace {

constexpr char kKey[] = "image_grid_pinpoints";
constexpr int kMostPinpoints = 1 << 10;
constexpr int kMostPixels = 1 << 14;  // down or across

bool IsPinpoint(const nlohmann::json& value) {
  return value.is_array() && value.size() == 2 &&
         std::all_of(value.begin(), value.end(), [](const nlohmann::json& pixels) {
           return pixels.is_number_integer() && pixels >= 1 && pixels <= kMostPixels;
         });
}

}  // namespace

std::vector<GridPinpoint> ReadGridPinpoints(JsonFields& fields, const std::vector<GridPinpoint>& fallback) {
  const nlohmann::json* const value = fields.Find(kKey);
  if (value == nullptr) return fallback;
  if (!value->is_array() || value->empty() || value->size() > kMostPinpoints ||
      !std::all_of(value->begin(), value->end(), IsPinpoint)) {
    fields.FailWithValue(kKey, absl::StrCat("not a list of heights and widths in [1, ", kMostPixels, "]"));
    return fallback;
  }
  std::vector<GridPinpoint> pinpoints;
  for (const nlohmann::json& pinpoint : *value) {
    pinpoints.push_back({.height = pinpoint[0].get<int>(), .width = pinpoint[1].get<int>()});
  }
  return pinpoints;
}

const std::vector<GridPinpoint>& LlavaNextPinpoints() {
  static const std::vector<GridPinpoint> pinpoints = {
      {336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  return pinpoints;
}

const std::vector<GridPinpoint>& LlavaOnevisionPinpoints() {
  static const std::vector<GridPinpoint> pinpoints = [] {
    constexpr int kTile = 384;  // pixels
    std::vector<GridPinpoint> all;
    for (int down = 1; down <= 6; ++down) {
      for (int across = 1; across <= 6; ++across) all.push_back({down * kTile, across * kTile});
    }
    return all;
  }();
  return pinpoints;
}

}  // namespace varserve::image
