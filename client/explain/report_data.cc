#include "client/explain/report_data.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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
std::string Name(const google::protobuf::EnumDescriptor& type, int value) {
  const google::protobuf::EnumValueDescriptor* known = type.FindValueByNumber(value);
  return known == nullptr ? absl::StrCat(value) : known->name();
}

// Of a whole answer, a layer or a token, of VAR or of another method.
template <typename Report>
Json Shares(const Report& report) {
  Json shares = {{"before", report.visual_attention_before()}, {"after", report.visual_attention_after()}};
  if constexpr (requires { report.redistributed_attention(); }) {
    shares["image_centric"] = report.image_centric_head_ratio();
    shares["redistributed"] = report.redistributed_attention();
  } else {
    shares["changed_heads"] = report.changed_head_ratio();
  }
  return shares;
}

Json Millionths(const google::protobuf::RepeatedField<float>& map) {
  Json numbers = Json::array();
  for (const float value : map) numbers.push_back(std::lround(1e6 * value));
  return numbers;
}

Json Answer(const v1::Finished& finished) {
  return {{"text", finished.text()},
          {"tokens", finished.usage().generated_tokens()},
          {"finish_reason", Name(*v1::FinishReason_descriptor(), finished.finish_reason())},
          {"seconds", finished.timing().total_seconds()}};
}

Json Value(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case google::protobuf::FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.GetFloat(message, &field);
    case google::protobuf::FieldDescriptor::CPPTYPE_UINT32:
      return reflection.GetUInt32(message, &field);
    case google::protobuf::FieldDescriptor::CPPTYPE_UINT64:  // a script's number cannot hold all of them
      return absl::StrCat(reflection.GetUInt64(message, &field));
    case google::protobuf::FieldDescriptor::CPPTYPE_ENUM:
      return Name(*field.enum_type(), reflection.GetEnumValue(message, &field));
    default:
      return reflection.GetString(message, &field);
  }
}

// The method and the contrast, whichever are set, each with its options but for how much evidence there is.
Json Setting(const v1::Intervention& setting) {
  std::vector<const google::protobuf::FieldDescriptor*> methods;
  setting.GetReflection()->ListFields(setting, &methods);
  Json shown = Json::array();
  for (const google::protobuf::FieldDescriptor* method : methods) {
    const google::protobuf::Message& options = setting.GetReflection()->GetMessage(setting, method);
    Json values = Json::object();
    for (int i = 0; i < options.GetDescriptor()->field_count(); ++i) {
      const google::protobuf::FieldDescriptor& field = *options.GetDescriptor()->field(i);
      if (field.name() != "mode" && field.name() != "detail" && field.name() != "map_layers")
        values[field.name()] = Value(options, field);
    }
    shown.push_back({{"method", method->name()}, {"options", std::move(values)}});
  }
  return shown;
}

// One for each map: the row of attention that made the next token.
template <typename Tokens>
Json StepsOf(const Explanation& explanation, const Tokens& tokens) {
  std::unordered_map<uint32_t, typename Tokens::const_pointer> rows;  // by position
  for (const auto& token : tokens) rows[token.position()] = &token;
  const uint32_t end = explanation.started.prompt_tokens() + explanation.on.usage().generated_tokens();
  Json steps = Json::array();
  for (const v1::AttentionMap& map : explanation.bands.front().maps) {
    const auto row = rows.find(map.position());
    const auto next = rows.find(map.position() + 1);
    Json step = row == rows.end() ? Json::object() : Shares(*row->second);
    if (map.position() + 1 >= end) {
      step["token"] = nullptr;  // the end of the answer
    } else {
      step["token"] = next == rows.end() ? explanation.last_text : next->second->text();
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Json Steps(const Explanation& explanation) {
  if (explanation.bands.empty()) return Json::array();
  return explanation.setting.has_var() ? StepsOf(explanation, explanation.on.var_report().tokens())
                                       : StepsOf(explanation, explanation.on.intervention_report().tokens());
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
    Json& layer = layers.emplace_back(Shares(report));
    layer["layer"] = report.layer();
    layer["visual_sinks"] = report.visual_sink_tokens();
    layer["text_sinks"] = report.text_sink_tokens();
  }
  for (const v1::LayerAttention& report : explanation.on.intervention_report().layers()) {
    Json& layer = layers.emplace_back(Shares(report));
    layer["layer"] = report.layer();
  }
  for (Json& layer : layers) {
    layer["cells"] = Json::array();  // [row, column, phi] of each visual sink
    layer["thumbnail_cells"] = Json::array();
    const auto sinks =
        std::find_if(explanation.sinks.begin(), explanation.sinks.end(),
                     [&](const Explanation::LayerSinks& s) { return s.layer == layer["layer"]; });
    if (sinks == explanation.sinks.end()) continue;
    for (const v1::VisualSink& sink : sinks->sinks) {
      layer[sink.in_thumbnail() ? "thumbnail_cells" : "cells"].push_back(
          {sink.row(), sink.column(), sink.max_phi()});
    }
  }
  return layers;
}

// Of the report that the setting has; empty without one.
Json Totals(const v1::Finished& on) {
  Json totals = Json::object();
  if (on.has_var_report()) {
    const v1::VarReport& report = on.var_report();
    totals = Shares(report);
    totals["rows"] = report.eligible_rows();
    totals["visual_sinks"] = report.visual_sink_tokens();
    totals["text_sinks"] = report.text_sink_tokens();
    totals["distinct_visual_sinks"] = report.distinct_visual_sinks();
  } else if (on.has_intervention_report()) {
    totals = Shares(on.intervention_report());
    totals["rows"] = on.intervention_report().rows();
  }
  if (on.has_contrast_report()) {
    totals["contrasted_tokens"] = on.contrast_report().contrasted_tokens();
    totals["changed_tokens"] = on.contrast_report().changed_tokens();
    totals["plausible_tokens"] = on.contrast_report().plausible_tokens();
  }
  return totals;
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
      {"setting", Setting(explanation.setting)},
      {"off", Answer(explanation.off)},
      {"on", Answer(explanation.on)},
      {"totals", Totals(explanation.on)},
      {"steps", Steps(explanation)},
      {"bands", Bands(explanation)},
      {"layers", Layers(explanation)},
      {"sinks_known", !explanation.sinks.empty()},
      {"maps_truncated",
       explanation.on.var_report().maps_truncated() || explanation.on.intervention_report().maps_truncated()},
  };
}

}  // namespace varserve::client
