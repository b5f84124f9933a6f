#include "client/explain/report_data.h"

#include <google/protobuf/generated_enum_reflection.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace varserve::client {
namespace {

using Json = nlohmann::json;

// The three kinds the API takes.
absl::string_view MediaType(absl::string_view image) {
  if (absl::StartsWith(image, "\x89PNG")) return "image/png";
  if (absl::StartsWith(image, "RIFF")) return "image/webp";
  return "image/jpeg";
}

// The number of a value that only a newer server knows.
template <typename Enum>
std::string Name(Enum value) {
  const google::protobuf::EnumValueDescriptor* known =
      google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  return known == nullptr ? absl::StrCat(static_cast<int>(value)) : known->name();
}

template <typename Report>
Json Shares(const Report& report) {
  return {{"image_centric", report.image_centric_head_ratio()},
          {"redistributed", report.redistributed_attention()},
          {"before", report.visual_attention_before()},
          {"after", report.visual_attention_after()}};
}

Json Millionths(const google::protobuf::RepeatedField<float>& map) {
  Json numbers = Json::array();
  for (const float value : map) numbers.push_back(std::lround(1e6 * value));
  return numbers;
}

Json Answer(const v1::Finished& finished) {
  return {{"text", finished.text()},
          {"tokens", finished.usage().generated_tokens()},
          {"finish_reason", Name(finished.finish_reason())},
          {"seconds", finished.timing().total_seconds()}};
}

Json Setting(const v1::VarOptions& var) {
  return {{"variant", Name(var.variant())},
          {"preset", Name(var.preset())},
          {"tau", var.tau()},
          {"rho", var.rho()},
          {"p", var.p()},
          {"min_visual_attention", var.min_visual_attention()},
          {"first_layer", var.first_layer()},
          {"last_layer", var.last_layer()}};
}

// One for each map: the row of attention that made the next token.
Json Steps(const Explanation& explanation) {
  std::unordered_map<uint32_t, const v1::TokenReport*> tokens;  // by position
  for (const v1::TokenReport& token : explanation.on.var_report().tokens()) tokens[token.position()] = &token;
  const uint32_t end = explanation.started.prompt_tokens() + explanation.on.usage().generated_tokens();
  Json steps = Json::array();
  for (const v1::AttentionMap& map : explanation.bands.front().maps) {
    const auto row = tokens.find(map.position());
    const auto next = tokens.find(map.position() + 1);
    Json step = row == tokens.end() ? Json::object() : Shares(*row->second);
    if (map.position() + 1 >= end) {
      step["token"] = nullptr;  // the end of the answer
    } else {
      step["token"] = next == tokens.end() ? explanation.last_text : next->second->text();
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Json Bands(const Explanation& explanation) {
  Json bands = Json::array();
  for (const Explanation::Band& band : explanation.bands) {
    Json of_band = {{"first", band.first_layer}, {"last", band.last_layer}};
    for (const char* key : {"before", "after", "thumbnail_before", "thumbnail_after"})
      of_band[key] = Json::array();
    for (const v1::AttentionMap& map : band.maps) {
      of_band["before"].push_back(Millionths(map.before()));
      of_band["after"].push_back(Millionths(map.after()));
      of_band["thumbnail_before"].push_back(Millionths(map.thumbnail_before()));
      of_band["thumbnail_after"].push_back(Millionths(map.thumbnail_after()));
    }
    bands.push_back(std::move(of_band));
  }
  return bands;
}

Json Layers(const Explanation& explanation) {
  Json layers = Json::array();
  for (const v1::LayerReport& report : explanation.on.var_report().layers()) {
    Json layer = Shares(report);
    layer["layer"] = report.layer();
    layer["visual_sinks"] = report.visual_sink_tokens();
    layer["text_sinks"] = report.text_sink_tokens();
    layer["cells"] = Json::array();  // [row, column, phi] of each visual sink
    layer["thumbnail_cells"] = Json::array();
    const auto sinks =
        std::find_if(explanation.sinks.begin(), explanation.sinks.end(),
                     [&](const Explanation::LayerSinks& s) { return s.layer == report.layer(); });
    if (sinks != explanation.sinks.end()) {
      for (const v1::VisualSink& sink : sinks->sinks) {
        layer[sink.in_thumbnail() ? "thumbnail_cells" : "cells"].push_back(
            {sink.row(), sink.column(), sink.max_phi()});
      }
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

// Of the picture asked about, as older servers describe it: all of it, in the model's one grid.
v1::ImageRegion RegionOf(const Explanation& explanation) {
  v1::ImageRegion region;
  region.set_right(1);
  region.set_bottom(1);
  if (!explanation.started.image_regions().empty()) region = explanation.started.image_regions(0);
  if (region.rows() == 0) {
    region.set_rows(explanation.model.vision_tower().rows());
    region.set_columns(explanation.model.vision_tower().columns());
  }
  return region;
}

Json Region(const v1::ImageRegion& region) {
  return {
      {"left", region.left()}, {"top", region.top()}, {"right", region.right()}, {"bottom", region.bottom()}};
}

}  // namespace

nlohmann::json ReportData(const ExplainRequest& request, const Explanation& explanation) {
  const v1::Model& model = explanation.model;
  const v1::ImageRegion region = RegionOf(explanation);
  const v1::VarReport& report = explanation.on.var_report();
  Json totals = Shares(report);
  totals["rows"] = report.eligible_rows();
  totals["visual_sinks"] = report.visual_sink_tokens();
  totals["text_sinks"] = report.text_sink_tokens();
  totals["distinct_visual_sinks"] = report.distinct_visual_sinks();
  return {
      {"model", {{"name", model.name()}, {"device", model.device()}, {"dtype", model.dtype()}}},
      {"image",
       absl::StrCat("data:", MediaType(request.image), ";base64,", absl::Base64Escape(request.image))},
      {"question", request.question},
      {"grid", {{"rows", region.rows()}, {"columns", region.columns()}}},
      {"thumbnail", {{"rows", region.thumbnail_rows()}, {"columns", region.thumbnail_columns()}}},
      {"region", Region(region)},
      {"prompt_tokens", explanation.started.prompt_tokens()},
      {"visual_tokens", explanation.started.visual_tokens()},
      {"setting", Setting(report.effective())},
      {"off", Answer(explanation.off)},
      {"on", Answer(explanation.on)},
      {"totals", std::move(totals)},
      {"steps", Steps(explanation)},
      {"bands", Bands(explanation)},
      {"layers", Layers(explanation)},
      {"maps_truncated", report.maps_truncated()},
  };
}

}  // namespace varserve::client
