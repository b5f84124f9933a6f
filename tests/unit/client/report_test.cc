#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "client/explain/explanation.h"
#include "client/explain/report_data.h"
#include "client/explain/report_page.h"

namespace varserve::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The element with this id, its start tag cut off.
std::string ElementText(const std::string& page, const std::string& id, const std::string& name) {
  const size_t begin = page.find('>', page.find("id=\"" + id + "\"")) + 1;
  return page.substr(begin, page.find("</" + name, begin) - begin);
}

// Elements that are open at the end, or closed without being open; script and style hold text.
std::vector<std::string> UnbalancedElements(absl::string_view page) {
  const std::set<std::string> kVoid = {"meta", "input", "img", "br"};
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != absl::string_view::npos; at = page.find('<', at)) {
    const bool close = page[at + 1] == '/';
    const size_t begin = at + 1 + (close ? 1 : 0);
    const size_t end = page.find_first_of(" >\n", begin);
    const std::string name(page.substr(begin, end - begin));
    at = page.find('>', end);
    if (close && (open.empty() || open.back() != name)) return {"/" + name};
    if (close) {
      open.pop_back();
    } else if (name != "!DOCTYPE" && kVoid.count(name) == 0) {
      open.push_back(name);
    }
    if (!close && (name == "script" || name == "style")) at = page.find("</" + name, at);
  }
  return open;
}

v1::AttentionMap Map(uint32_t position, const std::vector<float>& before, const std::vector<float>& after) {
  v1::AttentionMap map;
  map.set_position(position);
  map.set_rows(1);
  map.set_columns(2);
  map.mutable_before()->Assign(before.begin(), before.end());
  map.mutable_after()->Assign(after.begin(), after.end());
  return map;
}

// Two visual tokens, a prompt of ten, an answer of two tokens and its end, two layers.
Explanation Sample() {
  Explanation e;
  e.model.set_name("tiny");
  e.setting.mutable_var()->set_last_layer(1);
  e.model.mutable_vision_tower()->set_rows(1);
  e.model.mutable_vision_tower()->set_columns(2);
  e.started.set_prompt_tokens(10);
  v1::ImageRegion& region = *e.started.add_image_regions();
  region.set_left(0.25F);
  region.set_right(0.75F);
  region.set_bottom(1);
  e.off.set_text("no");
  e.on.set_text("yes.");
  e.on.mutable_usage()->set_generated_tokens(2);
  v1::VarReport& report = *e.on.mutable_var_report();
  for (const auto& [position, text] : {std::pair(9, "\n"), std::pair(10, "yes"), std::pair(11, ".")}) {
    v1::TokenReport& token = *report.add_tokens();
    token.set_position(position);
    token.set_text(text);
    token.set_redistributed_attention(0.5F);
  }
  for (const uint32_t layer : {0, 1}) report.add_layers()->set_layer(layer);
  Explanation::Band& band = e.bands.emplace_back(Explanation::Band{.first_layer = 0, .last_layer = 1});
  for (const uint32_t position : {9, 10, 11})
    *band.maps.Add() = Map(position, {0.5F, 0.25F}, {0.1F, 0.0000016F});
  Explanation::LayerSinks& sinks = e.sinks.emplace_back(Explanation::LayerSinks{.layer = 1});
  v1::VisualSink& sink = *sinks.sinks.Add();
  sink.set_column(1);
  sink.set_max_phi(23.5F);
  return e;
}

TEST(ReportData, IsWhatThePageReads) {
  const nlohmann::json data = ReportData({.image = "\x89PNG", .question = "Is it?"}, Sample());
  EXPECT_EQ(data["image"], "data:image/png;base64,iVBORw==");
  EXPECT_EQ(data["question"], "Is it?");
  EXPECT_EQ(data["region"]["left"], 0.25);
  EXPECT_EQ(data["steps"].size(), 3);
  EXPECT_EQ(data["steps"][0]["token"], "yes");  // what the row before it made
  EXPECT_EQ(data["steps"][1]["token"], ".");
  EXPECT_TRUE(data["steps"][2]["token"].is_null());
  EXPECT_EQ(data["steps"][0]["redistributed"], 0.5);
  EXPECT_EQ(data["bands"][0]["before"][0], (std::vector<int>{500000, 250000}));
  EXPECT_EQ(data["bands"][0]["after"][2], (std::vector<int>{100000, 2}));
  EXPECT_TRUE(data["layers"][0]["cells"].empty());
  EXPECT_EQ(data["layers"][1]["cells"][0][1], 1);
}

TEST(ReportData, TheThumbnailHasItsOwnGrid) {
  Explanation e = Sample();
  e.started.mutable_image_regions(0)->set_thumbnail_rows(1);
  e.started.mutable_image_regions(0)->set_thumbnail_columns(1);
  e.bands[0].maps.Mutable(0)->add_thumbnail_before(0.125F);
  e.sinks[0].sinks.Mutable(0)->set_in_thumbnail(true);
  const nlohmann::json data = ReportData({}, e);
  EXPECT_EQ(data["thumbnail"], nlohmann::json({{"rows", 1}, {"columns", 1}}));
  EXPECT_EQ(data["bands"][0]["thumbnail_before"][0], (std::vector<int>{125000}));
  EXPECT_TRUE(data["bands"][0]["thumbnail_after"][0].empty());
  EXPECT_TRUE(data["layers"][1]["cells"].empty());
  EXPECT_EQ(data["layers"][1]["thumbnail_cells"][0][1], 1);
}

TEST(ReportData, TheLastTokensTextComesFromTheStream) {
  Explanation e = Sample();
  e.on.mutable_usage()->set_generated_tokens(3);  // cut off: the third token was made, and has no row
  e.last_text = "!";
  EXPECT_EQ(ReportData({}, e)["steps"][2]["token"], "!");
}

TEST(ReportData, ValuesOfANewerServerAreNumbers) {
  Explanation e = Sample();
  e.on.set_finish_reason(static_cast<v1::FinishReason>(97));
  e.setting.mutable_var()->set_variant(static_cast<v1::VarVariant>(98));
  e.setting.mutable_var()->set_preset(static_cast<v1::VarPreset>(99));
  const nlohmann::json data = ReportData({}, e);
  EXPECT_EQ(data["on"]["finish_reason"], "97");
  EXPECT_EQ(data["setting"][0]["options"]["variant"], "98");
  EXPECT_EQ(data["setting"][0]["options"]["preset"], "99");
}

TEST(ReportData, AnotherMethodAndAContrastHaveTheirOwnEvidence) {
  Explanation e = Sample();
  e.setting.Clear();
  e.setting.mutable_pai()->set_alpha(0.25F);
  e.setting.mutable_vcd()->set_noise_seed(std::numeric_limits<uint64_t>::max());
  e.on.clear_var_report();
  v1::InterventionReport& report = *e.on.mutable_intervention_report();
  report.set_changed_head_ratio(1);
  report.add_layers()->set_layer(1);
  v1::TokenAttention& token = *report.add_tokens();
  token.set_position(10);
  token.set_text("yes");
  e.on.mutable_contrast_report()->set_changed_tokens(3);
  const nlohmann::json data = ReportData({}, e);
  EXPECT_EQ(data["setting"][0]["method"], "pai");
  EXPECT_EQ(data["setting"][0]["options"]["alpha"], 0.25);
  EXPECT_FALSE(data["setting"][0]["options"].contains("detail"));
  EXPECT_EQ(data["setting"][1]["options"]["noise_seed"], "18446744073709551615");
  EXPECT_EQ(data["totals"]["changed_heads"], 1);
  EXPECT_EQ(data["totals"]["changed_tokens"], 3);
  EXPECT_FALSE(data["totals"].contains("redistributed"));
  EXPECT_EQ(data["steps"][0]["token"], "yes");
  EXPECT_EQ(data["layers"][0]["cells"][0][1], 1);
  EXPECT_TRUE(data["sinks_known"]);
}

TEST(ReportData, AContrastAloneHasNoMaps) {
  Explanation e = Sample();
  e.setting.Clear();
  e.setting.mutable_vcd();
  e.on.clear_var_report();
  e.bands.clear();
  e.sinks.clear();
  const nlohmann::json data = ReportData({}, e);
  EXPECT_TRUE(data["steps"].empty());
  EXPECT_TRUE(data["bands"].empty());
  EXPECT_TRUE(data["layers"].empty());
  EXPECT_TRUE(data["totals"].empty());
  EXPECT_FALSE(data["sinks_known"]);
}

TEST(ReportPage, IsWellFormedAndNeedsNothingElse) {
  const std::string page = ReportPage(ReportData({.image = "\xff\xd8", .question = "Is it?"}, Sample()));
  EXPECT_TRUE(absl::StartsWith(page, "<!DOCTYPE html>\n"));
  EXPECT_THAT(UnbalancedElements(page), ElementsAre());
  for (const char* text : {"{{", "src=\"", "href=", "url(", "@import", "https:", "fetch(", "XMLHttpRequest"})
    EXPECT_THAT(page, Not(HasSubstr(text)));
  const nlohmann::json data = nlohmann::json::parse(ElementText(page, "data", "script"));
  EXPECT_EQ(data["question"], "Is it?");
}

TEST(ReportPage, NoTextBreaksOut) {
  const std::string evil = "</script><script>alert(1)</script><!-- {{script}} & \u2028 \xff";
  Explanation e = Sample();
  e.on.set_text(evil);
  const std::string page = ReportPage(ReportData({.question = evil}, e));
  EXPECT_THAT(UnbalancedElements(page), ElementsAre());
  EXPECT_THAT(page, Not(HasSubstr("alert(1)</script>")));
  EXPECT_THAT(page, Not(HasSubstr("<!--")));
  const std::string text = nlohmann::json::parse(ElementText(page, "data", "script"))["question"];
  EXPECT_EQ(text, "</script><script>alert(1)</script><!-- {{script}} & \u2028 \uFFFD");
}

}  // namespace
}  // namespace varserve::client
