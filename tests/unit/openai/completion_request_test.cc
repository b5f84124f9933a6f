#include "server/openai/completion_request.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace varserve::openai {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

v1::Model Model() {
  v1::Model model;
  model.set_name("m");
  model.mutable_var_profile();
  model.add_interventions()->mutable_pai();
  model.add_interventions()->mutable_vcd();
  return model;
}

// A request with these fields in addition to a question.
json Request(const json& fields = json::object()) {
  json request = {{"model", "m"}, {"messages", {{{"role", "user"}, {"content", "Hello"}}}}};
  request.update(fields);
  return request;
}

absl::StatusOr<std::unique_ptr<CompletionRequest>> Read(const json& request) {
  return ReadCompletion(request.dump(), {.max_images = 2, .max_messages = 4, .max_parts = 6, .num_layers = 6},
                        Model());
}

std::string Problem(const json& request) { return std::string(Read(request).status().message()); }

json Picture(const std::string& url) { return {{"type", "image_url"}, {"image_url", {{"url", url}}}}; }
json Text(const std::string& text) { return {{"type", "text"}, {"text", text}}; }
json User(const json& content) { return {{"role", "user"}, {"content", content}}; }

TEST(CompletionRequestTest, DefaultsAreThoseOfTheApi) {
  const auto request = Read(Request());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ((*request)->options.ByteSizeLong(), 0U);
  EXPECT_EQ((*request)->intervention.var().ByteSizeLong(), 0U);
  EXPECT_EQ((*request)->choices, 1);
  EXPECT_FALSE((*request)->stream || (*request)->include_usage || (*request)->logprobs);
}

TEST(CompletionRequestTest, NullIsAbsent) {
  json fields;
  for (const char* key :
       {"max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "logprobs",
        "top_logprobs", "n", "stream", "stream_options", "tools", "response_format", "var"})
    fields[key] = nullptr;
  const auto request = Read(Request(fields));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ((*request)->options.ByteSizeLong(), 0U);
}

TEST(CompletionRequestTest, EveryFieldArrives) {
  const auto request = Read(Request({{"max_tokens", 7},
                                     {"max_completion_tokens", 9},
                                     {"temperature", 0.5},
                                     {"top_p", 1},
                                     {"top_k", -1},
                                     {"repetition_penalty", 1.25},
                                     {"seed", -1},
                                     {"stop", {"a", "b"}},
                                     {"ignore_eos", true},
                                     {"logprobs", true},
                                     {"top_logprobs", 3},
                                     {"n", 2},
                                     {"stream", true},
                                     {"stream_options", {{"include_usage", true}}}}));
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::GenerateOptions& options = (*request)->options;
  EXPECT_EQ(options.max_tokens(), 9U);  // the newer name wins
  EXPECT_EQ(options.temperature(), 0.5F);
  EXPECT_EQ(options.top_p(), 1.0F);
  EXPECT_EQ(options.top_k(), 0U);
  EXPECT_EQ(options.repetition_penalty(), 1.25F);
  EXPECT_EQ(options.seed(), ~uint64_t{0});
  EXPECT_THAT(options.stop(), ElementsAre("a", "b"));
  EXPECT_TRUE(options.ignore_eos());
  EXPECT_EQ(options.logprobs(), 3U);
  EXPECT_TRUE((*request)->stream && (*request)->include_usage && (*request)->logprobs);
  EXPECT_EQ((*request)->choices, 2);
  EXPECT_THAT((*Read(Request({{"stop", "x"}})))->options.stop(), ElementsAre("x"));
  EXPECT_TRUE((*Read(Request({{"logprobs", true}})))->options.has_logprobs());
}

TEST(CompletionRequestTest, AConversationOfTextsAndPictures) {
  const json assistant = {{"role", "assistant"}, {"content", "c"}, {"name", "ignored"}};
  const json parts = {Text("a"), Picture("data:image/png;base64,QUJD"), Text("b")};
  auto request = Read(
      Request({{"n", 3},
               {"messages",
                {{{"role", "developer"}, {"content", "Be short."}}, User(parts), assistant, User("d")}}}));
  ASSERT_TRUE(request.ok()) << request.status();
  const chat::ChatRequest chat = ToChat(*std::move(request));
  ASSERT_EQ(chat.messages.size(), 4U);
  EXPECT_EQ(chat.messages[0].role, text::Role::kSystem);
  EXPECT_EQ(chat.messages[2].role, text::Role::kAssistant);
  ASSERT_EQ(chat.messages[1].parts.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<text::ImagePart>(chat.messages[1].parts[1]));
  EXPECT_EQ(std::get<std::string>(chat.messages[1].parts[2]), "b");
  ASSERT_EQ(chat.pictures.size(), 1U);
  EXPECT_EQ(*chat.pictures[0].bytes, "ABC");
  EXPECT_EQ(chat.pictures[0].field, "messages[1].content[1].image_url.url");
  EXPECT_EQ(chat.settings.size(), 3U);
  EXPECT_TRUE(chat.seed_per_setting);
}

TEST(CompletionRequestTest, ADigestStandsInPlaceOfThePicture) {
  const std::string hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  auto request = Read(Request({{"messages", {User(json::array({Picture("sha256:" + hex), Text("a")}))}}}));
  ASSERT_TRUE(request.ok()) << request.status();
  const chat::ChatRequest chat = ToChat(*std::move(request));
  ASSERT_EQ(chat.pictures.size(), 1U);
  EXPECT_EQ(chat.pictures[0].bytes, nullptr);
  EXPECT_EQ(chat.pictures[0].digest, Sha256({"abc"}));
  EXPECT_EQ(chat.pictures[0].field, "messages[0].content[0].image_url.url");
}

TEST(CompletionRequestTest, TheNameAndTheBodyChooseVar) {
  const auto request = Read(Request({{"model", "m+var-hallucination"}, {"var", {{"rho", 0.25}}}}));
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ((*request)->intervention.var().mode(), v1::VAR_MODE_ON);
  EXPECT_EQ((*request)->intervention.var().preset(), v1::VAR_PRESET_HALLUCINATION);
  EXPECT_EQ((*request)->intervention.var().rho(), 0.25F);
  EXPECT_EQ((*Read(Request({{"model", "m+var"}, {"var", {{"mode", "observe"}}}})))->intervention.var().mode(),
            v1::VAR_MODE_OBSERVE);
}

TEST(CompletionRequestTest, TheNameAndTheBodyChooseAnotherIntervention) {
  auto named = Read(Request({{"model", "m+pai"}}));
  ASSERT_TRUE(named.ok()) << named.status();
  const chat::ChatRequest chat = ToChat(*std::move(named));  // owns what the setting points to
  const chat::ChatRequest::Setting& setting = chat.settings.at(0);
  EXPECT_EQ(setting.attention.field, "intervention.pai");
  EXPECT_EQ(setting.attention.options->GetDescriptor(), v1::PaiOptions::descriptor());
  EXPECT_EQ(setting.contrast.options, nullptr);
  for (const char* model : {"m", "m+pai"}) {
    const auto request = Read(Request({{"model", model}, {"intervention", {{"pai", {{"alpha", 0.5}}}}}}));
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ((*request)->intervention.pai().alpha(), 0.5F);
  }
  const auto var = Read(Request({{"intervention", {{"var", {{"mode", "on"}, {"rho", 0.25}}}}}}));
  ASSERT_TRUE(var.ok()) << var.status();
  EXPECT_EQ((*var)->intervention.var().rho(), 0.25F);
}

TEST(CompletionRequestTest, AContrastGoesBesideAnotherMethod) {
  for (const json& fields :
       {json{{"model", "m+vcd"}, {"var", {{"mode", "on"}}}}, json{{"model", "m+var+vcd"}},
        json{{"intervention", {{"var", {{"mode", "on"}}}, {"vcd", json::object()}}}}}) {
    auto request = Read(Request(fields));
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ((*request)->intervention.var().mode(), v1::VAR_MODE_ON);
    const chat::ChatRequest chat = ToChat(*std::move(request));
    EXPECT_EQ(chat.settings.at(0).contrast.field, "intervention.vcd");
  }
  const auto alone = Read(Request({{"intervention", {{"vcd", {{"alpha", 0.5}, {"noise_seed", 7}}}}}}));
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_FALSE((*alone)->intervention.has_var());
  EXPECT_EQ((*alone)->intervention.vcd().alpha(), 0.5F);
  EXPECT_EQ((*alone)->intervention.vcd().noise_seed(), 7U);
  const auto text = Read(Request({{"intervention", {{"icd", {{"disturbance", "Guess."}}}}}}));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ((*text)->intervention.icd().disturbance(), "Guess.");
  EXPECT_EQ(Problem(Request({{"intervention", {{"icd", {{"disturbance", 1}}}}}})),
            "intervention.icd.disturbance: is 1, not a text");
}

TEST(CompletionRequestTest, ProblemsOfAnInterventionNameTheField) {
  const json pai = {{"pai", json::object()}};
  EXPECT_EQ(Problem(Request({{"var", json::object()}, {"intervention", pai}})),
            "intervention: must not be set together with var; it can hold VAR as well");
  EXPECT_EQ(Problem(Request({{"model", "m+var"}, {"intervention", pai}})),
            "intervention: is another method than that of the model \"m+var\"");
  EXPECT_EQ(Problem(Request({{"model", "m+pai"}, {"var", json::object()}})),
            "var: is another method than that of the model \"m+pai\"");
  EXPECT_EQ(Problem(Request({{"intervention", json::object()}})),
            "intervention: has 0 methods, not one of var, pai, vaf, spin, vcd, icd, m3id");
  EXPECT_EQ(Problem(Request({{"intervention", {{"opera", json::object()}}}})),
            "intervention.opera: is not known; there is var, pai, vaf, spin, vcd, icd, m3id");
  EXPECT_EQ(Problem(Request({{"intervention", {{"pai", json::object()}, {"spin", json::object()}}}})),
            "intervention.spin: cannot be combined with pai");
  EXPECT_EQ(Problem(Request({{"intervention", {{"icd", json::object()}, {"vcd", json::object()}}}})),
            "intervention.vcd: cannot be combined with icd");
  EXPECT_EQ(Problem(Request({{"model", "m+vcd"}, {"intervention", {{"icd", json::object()}}}})),
            "intervention: is another method than that of the model \"m+vcd\"");
  EXPECT_EQ(Problem(Request({{"intervention", {{"pai", {{"alpha", "high"}}}}}})),
            "intervention.pai.alpha: is \"high\", not a number");
  EXPECT_EQ(Problem(Request({{"intervention", {{"var", {{"map_layers", {0, 1, 2, 3, 4, 5, 6}}}}}}})),
            "intervention.var.map_layers: at most 6 layers; the model has no more, and counts them from 0");
}

TEST(CompletionRequestTest, WhatChangesNoAnswerIsIgnored) {
  const auto request = Read(Request({{"user", "me"},
                                     {"metadata", {{"a", 1}}},
                                     {"tools", json::array()},
                                     {"tool_choice", "none"},
                                     {"logit_bias", json::object()},
                                     {"presence_penalty", 0.0},
                                     {"response_format", {{"type", "text"}}},
                                     {"modalities", {"text"}},
                                     {"not_a_field", {{"x", {1, 2}}}}}));
  EXPECT_TRUE(request.ok()) << request.status();
}

TEST(CompletionRequestTest, ProblemsBeginWithTheField) {
  const std::vector<std::pair<json, std::string>> problems = {
      {{{"model", nullptr}}, "model: is missing"},
      {{{"model", 3}}, "model: is a number, not a string"},
      {{{"messages", nullptr}}, "messages: is missing"},
      {{{"messages", "Hello"}}, "messages: is a string, not an array"},
      {{{"messages", json::array()}}, "messages: at least one is needed"},
      {{{"messages", json::array({1})}}, "messages[0]: is a number, not an object"},
      {{{"messages", {{{"role", "tool"}, {"content", ""}}}}},
       "messages[0].role: \"tool\" is not system, developer, user or assistant"},
      {{{"messages", {User("a"), {{"role", "system"}, {"content", ""}}}}},
       "messages[1].role: only the first message may be the system's"},
      {{{"messages", {{{"role", "assistant"}, {"content", "a"}}}}},
       "messages[0].role: the last message must be the user's"},
      {{{"messages", {User(nullptr)}}}, "messages[0].content: is missing"},
      {{{"messages", {User(1)}}}, "messages[0].content: is a number, not a string or an array of parts"},
      {{{"messages", {User(json::array())}}}, "messages[0].content: has no part"},
      {{{"messages", {User({{{"type", "input_audio"}}})}}},
       "messages[0].content[0].type: \"input_audio\" is not text or image_url"},
      {{{"messages", {User({{{"type", "text"}}})}}}, "messages[0].content[0].text: is missing"},
      {{{"messages", {User(json::array({Picture("ftp://a")}))}}},
       "messages[0].content[0].image_url.url: is not a data:, http: or https: URL; send the picture itself: "
       "data:image/jpeg;base64,..."},
      {{{"messages", {User(json::array({Picture("sha256:abc")}))}}},
       "messages[0].content[0].image_url.url: sha256: is not followed by the 64 hexadecimal digits of a "
       "picture's "
       "SHA-256"},
      {{{"messages", {User(json::array({Picture("data:image/png;base64,?")}))}}},
       "messages[0].content[0].image_url.url: its data is not valid base64"},
      {{{"messages", {User(json::array({Picture("data:image/png;base64,")}))}}},
       "messages[0].content[0].image_url.url: is empty; send the bytes of a JPEG, PNG or WebP"},
      {{{"messages", json(5, User("a"))}}, "messages: at most 4 messages"},
      {{{"messages", {User(json(7, Text("a")))}}}, "messages[0].content[6]: at most 6 parts in all messages"},
      {{{"messages", {User(json(3, Picture("data:;base64,QUJD")))}}},
       "messages[0].content[2]: at most 2 pictures per request (--max_images)"},
      {{{"max_tokens", 0}}, "max_tokens: is 0, not an integer of 1 to 2147483647"},
      {{{"max_tokens", 1.5}}, "max_tokens: is 1.5, not an integer of 1 to 2147483647"},
      {{{"seed", 9223372036854775808ULL}},
       "seed: is 9223372036854775808, not an integer of -9223372036854775808 to 9223372036854775807"},
      {{{"temperature", "hot"}}, "temperature: is a string, not a number"},
      {{{"stream", 1}}, "stream: is a number, not true or false"},
      {{{"stop", 1}}, "stop: is a number, not a string or an array of them"},
      {{{"stop", {"a", 1}}}, "stop[1]: is a number, not a string"},
      {{{"n", 9}}, "n: is 9, not an integer of 1 to 8"},
      {{{"top_logprobs", 1}}, "top_logprobs: needs \"logprobs\": true"},
      {{{"stream_options", json::object()}}, "stream_options: needs \"stream\": true"},
      {{{"tools", {1}}}, "tools: this server does not support it"},
      {{{"response_format", {{"type", "json_object"}}}}, "response_format.type: only text is supported"},
      {{{"var", {{"map_layers", {0, 1, 2, 3, 4, 5, 0}}}}},
       "var.map_layers: at most 6 layers; the model has no more, and counts them from 0"}};
  for (const auto& [fields, problem] : problems) EXPECT_EQ(Problem(Request(fields)), problem);
}

}  // namespace
}  // namespace varserve::openai
