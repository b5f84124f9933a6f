#include "server/openai/completion_reply.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::openai {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

CompletionFormat Format() {
  return {.id = "id", .model = "m", .created = absl::FromUnixSeconds(7), .token_text = [](int32_t token) {
            return absl::StrCat("t", token);
          }};
}

chat::Reply Started(uint32_t choice) {
  chat::Reply reply{.setting = choice};
  reply.response.mutable_started();
  return reply;
}

chat::Reply Delta(uint32_t choice, const std::string& text, bool logprobs = false) {
  chat::Reply reply{.setting = choice};
  v1::Delta& delta = *reply.response.mutable_delta();
  delta.set_text(text);
  if (!logprobs) return reply;
  v1::TokenLogprob& token = *delta.add_logprobs();
  token.set_token_id(5);
  token.set_logprob(-0.5F);
  v1::TokenLogprob::Alternative& part = *token.add_top();
  part.set_text("\xEF\xBF\xBD");  // a part of a character
  return reply;
}

chat::Reply Finished(uint32_t choice, v1::FinishReason reason = v1::FINISH_REASON_STOP_STRING,
                     bool report = false) {
  chat::Reply reply{.setting = choice};
  v1::Finished& finished = *reply.response.mutable_finished();
  finished.set_finish_reason(reason);
  finished.mutable_usage()->set_prompt_tokens(10);
  finished.mutable_usage()->set_generated_tokens(3);
  if (report) finished.mutable_var_report()->set_distinct_visual_sinks(4 + choice);
  return reply;
}

json Whole(const CompletionFormat& format, const std::vector<chat::Reply>& replies) {
  CompletionReply reply(format);
  for (const chat::Reply& one : replies) reply.Add(one);
  return json::parse(reply.Whole());
}

// The events' data, each as JSON but the last.
std::vector<json> Stream(const CompletionFormat& format, const std::vector<chat::Reply>& replies) {
  CompletionReply reply(format);
  std::string text;
  for (const chat::Reply& one : replies) text += reply.Events(one);
  text += reply.LastEvents();
  std::vector<json> events;
  for (const absl::string_view event : absl::StrSplit(text, "\n\n", absl::SkipEmpty())) {
    EXPECT_EQ(event.substr(0, 6), "data: ");
    events.push_back(event == "data: [DONE]" ? json("done") : json::parse(event.substr(6)));
  }
  EXPECT_EQ(events.back(), "done");
  events.pop_back();
  return events;
}

TEST(CompletionReplyTest, WholeHasTheJoinedTextAndTheUsage) {
  const json reply = Whole(Format(), {Started(0), Delta(0, "Hel"), Delta(0, "lo \"you\""), Finished(0)});
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["created"], 7);
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "Hello \"you\"");
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(reply["choices"][0]["logprobs"], nullptr);
  EXPECT_EQ(reply["usage"]["total_tokens"], 13);
  EXPECT_FALSE(reply.contains("var_report"));
}

TEST(CompletionReplyTest, OtherInterventionsHaveAReportOfTheirOwn) {
  chat::Reply finished = Finished(0);
  finished.response.mutable_finished()->mutable_intervention_report()->set_rows(3);
  const json reply = Whole(Format(), {Started(0), finished});
  EXPECT_EQ(reply["intervention_report"]["rows"], "3");  // 64 bit in protobuf's JSON
  EXPECT_EQ(reply["intervention_report"]["changed_head_ratio"], 0);
  EXPECT_FALSE(reply.contains("var_report"));
}

TEST(CompletionReplyTest, TheReportLiesBesideTheUsageOfOneAnswer) {
  const json one = Whole(Format(), {Started(0), Finished(0, v1::FINISH_REASON_LENGTH, true)});
  EXPECT_EQ(one["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(one["var_report"]["distinct_visual_sinks"], 4);
  CompletionFormat several = Format();
  several.choices = 2;
  const json two =
      Whole(several, {Finished(1, v1::FINISH_REASON_STOP, true), Finished(0, v1::FINISH_REASON_STOP, true)});
  EXPECT_FALSE(two.contains("var_report"));
  EXPECT_EQ(two["choices"][0]["var_report"]["distinct_visual_sinks"], 4);
  EXPECT_EQ(two["choices"][1]["var_report"]["distinct_visual_sinks"], 5);
  EXPECT_EQ(two["usage"]["completion_tokens"], 6);
  EXPECT_EQ(two["usage"]["prompt_tokens"], 10);
}

TEST(CompletionReplyTest, AStreamIsRoleTextAndReason) {
  const std::vector<json> events = Stream(Format(), {Started(0), Delta(0, "a"), Finished(0)});
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0]["choices"][0]["delta"], json({{"role", "assistant"}, {"content", ""}}));
  EXPECT_EQ(events[1]["choices"][0]["delta"], json({{"content", "a"}}));
  EXPECT_EQ(events[1]["choices"][0]["finish_reason"], nullptr);
  EXPECT_EQ(events[2]["choices"][0]["finish_reason"], "stop");
  EXPECT_FALSE(events[2].contains("usage"));
}

TEST(CompletionReplyTest, TheLastChunkHasUsageAndReport) {
  CompletionFormat format = Format();
  format.include_usage = true;
  const std::vector<json> events = Stream(format, {Started(0), Finished(0, v1::FINISH_REASON_STOP, true)});
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0]["usage"], nullptr);
  EXPECT_FALSE(events[1].contains("var_report"));
  EXPECT_EQ(events[2]["choices"], json::array());
  EXPECT_EQ(events[2]["usage"]["completion_tokens"], 3);
  EXPECT_EQ(events[2]["var_report"]["distinct_visual_sinks"], 4);
  format.include_usage = false;
  EXPECT_TRUE(Stream(format, {Finished(0, v1::FINISH_REASON_STOP, true)})[0].contains("var_report"));
}

TEST(CompletionReplyTest, LogprobsHaveTextsAndTheirBytes) {
  CompletionFormat format = Format();
  format.logprobs = true;
  const json reply = Whole(format, {Delta(0, "t5", true), Finished(0)});
  const json& token = reply["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(token["token"], "t5");
  EXPECT_EQ(token["logprob"], -0.5);
  EXPECT_THAT(token["bytes"].get<std::vector<int>>(), ElementsAre('t', '5'));
  EXPECT_EQ(token["top_logprobs"][0]["bytes"], nullptr);
  EXPECT_EQ(Stream(format, {Delta(0, "t5", true), Finished(0)})[0]["choices"][0]["logprobs"]["content"][0],
            token);
}

}  // namespace
}  // namespace varserve::openai
