// The commands against a server in this process: what they send, print, and end with.
#include "client/commands/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "client/commands/ask.h"
#include "client/commands/caption.h"
#include "client/commands/chat.h"
#include "client/commands/compare.h"
#include "client/commands/health.h"
#include "client/commands/model.h"
#include "tests/unit/client/command_testing.h"

namespace varserve::cli {
namespace {

using client::Delta;
using client::Finished;
using client::OfSetting;
using client::Started;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(CommandTest, AskSendsWhatTheFlagsSay) {
  server_.Expect({.responses = {Started("id"), Delta("A cat.", 1), Finished("A cat.")}});
  EXPECT_EQ(Run<AskCommand>(
                {"ask",      picture_,         picture_, "[a, b]?", "--max-tokens",  "5",     "--temperature",
                 "0",        "--stop",         "x",      "--stop",  "[y,z]",         "--var", "observe",
                 "--preset", "vision-centric", "--tau",  "20",      "--first-layer", "0",     "--detail",
                 "tokens"}),
            kExitOk)
      << err_.str();
  EXPECT_EQ(out_.str(), "A cat.\n");
  EXPECT_EQ(err_.str(), "");
  const v1::AnswerRequest request = server_.answer_requests().at(0);
  EXPECT_EQ(request.images_size(), 2);
  EXPECT_EQ(request.images(1).data(), "picture");
  EXPECT_EQ(request.question(), "[a, b]?");
  EXPECT_EQ(request.options().max_tokens(), 5);
  EXPECT_TRUE(request.options().has_temperature());
  EXPECT_FALSE(request.options().has_top_p());
  EXPECT_THAT(request.options().stop(), ElementsAre("x", "[y,z]"));
  EXPECT_EQ(request.var().mode(), v1::VAR_MODE_OBSERVE);
  EXPECT_EQ(request.var().preset(), v1::VAR_PRESET_VISION_CENTRIC);
  EXPECT_EQ(request.var().tau(), 20);
  EXPECT_TRUE(request.var().has_first_layer());
  EXPECT_FALSE(request.var().has_last_layer());
  EXPECT_EQ(request.var().detail(), v1::VAR_DETAIL_TOKENS);
}

TEST_F(CommandTest, AskShowsWhatVarDidBesideTheAnswer) {
  server_.Expect({.responses = {Delta("A cat.", 1), FinishedWithReport("A cat.")}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--var", "on"}), kExitOk);
  EXPECT_EQ(out_.str(), "A cat.\n");
  EXPECT_THAT(err_.str(), HasSubstr("redistributed attention  12.50 %"));
  EXPECT_THAT(err_.str(), Not(HasSubstr("layer  visual sinks")));  // no terminal
}

TEST_F(CommandTest, TokensAreShownWhereTheyWereAskedFor) {
  v1::GenerateResponse finished = FinishedWithReport("A cat.");
  v1::TokenReport& token = *finished.mutable_finished()->mutable_var_report()->add_tokens();
  token.set_position(140);
  token.set_text(" cat\n");
  token.set_redistributed_attention(0.25F);
  const std::string row =
      "140       \" cat\\n\"         0.00 %        25.00 %         0.00 %        0.00 %\n";
  server_.Expect({.responses = {finished}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--var", "on", "--detail", "tokens"}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr(row));
  server_.Expect({.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, finished)}});
  EXPECT_EQ(
      Run<CompareCommand>({"compare", picture_, "?", "--setting", "off", "--setting", "on,detail=tokens"}),
      kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("\non,detail=tokens: 0 tokens in 0.00 s"));
  EXPECT_THAT(out_.str(), HasSubstr(row));
}

TEST_F(CommandTest, VerboseShowsLayersAndUsage) {
  server_.Expect({.responses = {Started("my-id"), FinishedWithReport("")}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--var", "on", "-v"}), kExitOk);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("my-id"), HasSubstr("layer  visual sinks"),
                                HasSubstr("7                12"), HasSubstr("0 tokens in 0.00 s")));
}

TEST_F(CommandTest, JsonIsOneObjectALineWithTheProtosNames) {
  server_.Expect({.responses = {Started("id"), Delta("A\n", 0), FinishedWithReport("A\n")}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--json", "--var", "on"}), kExitOk);
  EXPECT_EQ(err_.str(), "");
  const std::vector<std::string> lines = absl::StrSplit(out_.str(), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3);
  EXPECT_EQ(nlohmann::json::parse(lines[0])["started"]["request_id"], "id");
  EXPECT_EQ(nlohmann::json::parse(lines[1])["delta"]["text"], "A\n");
  EXPECT_EQ(nlohmann::json::parse(lines[1])["delta"]["token_ids"][0], 0);
  const nlohmann::json finished = nlohmann::json::parse(lines[2])["finished"];
  EXPECT_EQ(finished["finish_reason"], "FINISH_REASON_STOP");
  EXPECT_FALSE(finished.contains("usage"));                    // a message that is not set is left out
  EXPECT_EQ(finished["var_report"]["visual_sink_tokens"], 0);  // zeros are there too
}

TEST_F(CommandTest, UsageErrorsComeBeforeAnyCall) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"ask", picture_},
                                             {"ask", "/no/such/file", "?"},
                                             {"ask", "-", "-", "?"},
                                             {"ask", picture_, "?", "--what"},
                                             {"ask", picture_, "?", "--var", "maybe"},
                                             {"ask", picture_, "?", "--request-id", "\x01"},
                                             {"ask", picture_, "?", "--max-tokens", "-1"},
                                             {"ask", picture_, "?", "--timeout", "0"},
                                             {"ask", picture_, "?", "--timeout", "nan"},
                                             {"ask", picture_, "?", "--timeout", "5 s"},
                                             {"ask", picture_, "?", "--retry", "-1"},
                                             {"ask", picture_, "?", "--retry", "1e9"}}) {
    EXPECT_EQ(Run<AskCommand>(arguments), kExitUsage) << ::testing::PrintToString(arguments);
  }
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandTest, ChatReadsTheConversation) {
  const std::string file = Path("json");
  std::ofstream(file) << R"([{"role": "user", "content": "Hello"}])";
  server_.Expect({.responses = {Delta("Hi.", 1), Finished("Hi.")}});
  EXPECT_EQ(Run<ChatCommand>({"chat", file}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "Hi.\n");
}

TEST_F(CommandTest, CompareShowsAnswersSideBySide) {
  server_.Expect({.compare_responses = {OfSetting(0, Delta("A cat.", 1)), OfSetting(1, Delta("A", 1)),
                                        OfSetting(1, Delta(" dog.", 2)), OfSetting(0, Finished("A cat.")),
                                        OfSetting(1, FinishedWithReport("A dog."))}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", "off", "--setting", "on,rho=0.5"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("off                          | on,rho=0.5\n"));
  EXPECT_THAT(out_.str(), HasSubstr("A cat.                       | A dog.\n"));
  EXPECT_THAT(out_.str(), HasSubstr("redistributed attention     -       12.50 %\n"));
  EXPECT_THAT(out_.str(), HasSubstr("from token 2\n"));
  const v1::CompareRequest request = server_.compare_requests().at(0);
  EXPECT_EQ(request.settings(0).mode(), v1::VAR_MODE_OFF);
  EXPECT_EQ(request.settings(1).rho(), 0.5F);
  EXPECT_EQ(request.request().messages(0).parts_size(), 2);
  EXPECT_EQ(request.request().messages(0).parts(1).text(), "?");
}

TEST_F(CommandTest, CompareTakesOtherInterventionsBesideVar) {
  v1::GenerateResponse pai = Finished("A dog.");
  v1::InterventionReport& report = *pai.mutable_finished()->mutable_intervention_report();
  report.set_changed_head_ratio(1);
  report.set_visual_attention_before(0.25F);
  report.set_visual_attention_after(0.5F);
  server_.Expect({.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, pai)}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", "off", "--setting", "pai,alpha=0.5"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("visual attention after      -        50.00 %\n"));
  EXPECT_THAT(out_.str(), HasSubstr("changed heads               -       100.00 %\n"));
  const v1::CompareRequest request = server_.compare_requests().at(0);
  EXPECT_EQ(request.settings_size(), 0);
  EXPECT_EQ(request.interventions(0).var().mode(), v1::VAR_MODE_OFF);
  EXPECT_EQ(request.interventions(1).pai().alpha(), 0.5F);
}

TEST_F(CommandTest, AskTakesAnotherIntervention) {
  v1::GenerateResponse finished = Finished("A cat.");
  v1::InterventionReport& report = *finished.mutable_finished()->mutable_intervention_report();
  report.mutable_effective()->mutable_spin()->set_kept_head_ratio(0.5F);
  report.set_rows(7);
  v1::TokenAttention& token = *report.add_tokens();
  token.set_text(" cat");
  token.set_visual_attention_after(0.125F);
  server_.Expect({.responses = {Delta("A cat.", 1), finished}});
  EXPECT_EQ(
      Run<AskCommand>({"ask", picture_, "?", "--intervention", "spin,kept-head-ratio=0.5,detail=tokens"}),
      kExitOk)
      << err_.str();
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("SPIN: kept head ratio 0.5\n"), HasSubstr("rows per layer"),
                                HasSubstr("\" cat\""), HasSubstr("12.50 %")));
  const v1::AnswerRequest request = server_.answer_requests().at(0);
  EXPECT_FALSE(request.has_var());
  EXPECT_EQ(request.intervention().spin().kept_head_ratio(), 0.5F);
  EXPECT_EQ(request.intervention().spin().detail(), v1::VAR_DETAIL_TOKENS);
}

TEST_F(CommandTest, AContrastMayFollowAnotherMethod) {
  v1::GenerateResponse finished = Finished("A cat.");
  v1::ContrastReport& report = *finished.mutable_finished()->mutable_contrast_report();
  report.set_tokens(9);
  report.set_contrasted_tokens(7);
  server_.Expect({.responses = {Delta("A cat.", 1), finished}});
  EXPECT_EQ(Run<AskCommand>(
                {"ask", picture_, "?", "--intervention", "on,rho=1e+0+icd,disturbance=Guess it.,alpha=0.5"}),
            kExitOk)
      << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("contrasted tokens              7 of 9\n"));
  const v1::Intervention intervention = server_.answer_requests().at(0).intervention();
  EXPECT_EQ(intervention.var().mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(intervention.icd().disturbance(), "Guess it.");
  EXPECT_EQ(intervention.icd().alpha(), 0.5F);

  server_.Expect({.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, finished)}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", "off", "--setting", "on+vcd"}),
            kExitOk)
      << err_.str();
  const v1::CompareRequest request = server_.compare_requests().back();
  EXPECT_EQ(request.settings_size(), 0);
  EXPECT_TRUE(request.interventions(1).has_var() && request.interventions(1).has_vcd());
  EXPECT_THAT(out_.str(), HasSubstr("changed tokens              -       0\n"));
}

TEST_F(CommandTest, AnInterventionIsOneMethodWithItsFields) {
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--intervention", "pai", "--var", "on"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--intervention: cannot be combined with --var"));
  for (const char* wrong : {"vcd+icd", "pai+spin", "vcd+on"}) {
    EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--intervention", wrong}), kExitUsage) << wrong;
    EXPECT_THAT(
        err_.str(),
        HasSubstr("a plus joins a method that changes attention and, after it, a contrast (vcd, icd, m3id)"));
  }
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--intervention", "pai,beta=1"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--intervention pai,beta=1: beta: is not one of alpha, first_layer"));
}

TEST_F(CommandTest, CompareIsOffAndOnByDefault) {
  server_.Expect(
      {.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, FinishedWithReport("A cat."))}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("same\n"));
  ASSERT_EQ(server_.compare_requests().at(0).settings_size(), 2);
  EXPECT_EQ(server_.compare_requests()[0].settings(1).mode(), v1::VAR_MODE_ON);
}

TEST_F(CommandTest, HealthEndsWithZeroOrOne) {
  EXPECT_EQ(Run<HealthCommand>({"health", "--service", ""}), kExitOk);
  EXPECT_EQ(out_.str(), "process: SERVING\n");
}

TEST_F(CommandTest, HealthAsksForReadinessByDefault) {
  server_.SetServing(client::InferenceClient::kService, false);
  EXPECT_EQ(Run<HealthCommand>({"health"}), kExitError);
  EXPECT_EQ(out_.str(), "varserve.v1.VisionLanguage: NOT_SERVING\n");
}

TEST_F(CommandTest, HealthOfAnUnknownNameIsOne) {
  EXPECT_EQ(Run<HealthCommand>({"health", "--service", "nobody"}), kExitError);
}

TEST_F(CommandTest, ConnectionFlagsReadFilesAndEnvironment) {
  const std::string file = Path("token");
  std::ofstream(file) << "secret\nnot read\n";
  setenv("VARSERVE_ADDRESS", "there:1", /*overwrite=*/1);
  ModelCommand command(program_);
  program_.parse(
      std::vector<std::string>{"0.5", "--timeout", file, "--token-file", file, "--tls-ca", "model"});
  unsetenv("VARSERVE_ADDRESS");
  const auto options = command.connection().connect_options();
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->address, "there:1");
  EXPECT_EQ(options->token, "secret");
  ASSERT_TRUE(options->tls.has_value());
  EXPECT_EQ(options->tls->ca, "secret\nnot read\n");
  EXPECT_EQ(command.connection().call_options(nullptr).timeout, absl::Seconds(0.5));
}

TEST_F(CommandTest, TokenFileIsTheServers) {
  const std::string file = Path("token");
  for (const auto& [contents, token] :
       {std::pair("secret", "secret"), std::pair("alice  secret\r\nbob other\n", "secret"),
        std::pair("\n# who may call\n  alice\tsecret \n", "secret")}) {
    std::ofstream(file) << contents;
    server_.Expect({});
    EXPECT_EQ(Run<ModelCommand>({"model", "--token-file", file}), kExitOk) << err_.str();
    EXPECT_EQ(server_.metadata().back()["authorization"], absl::StrCat("Bearer ", token));
  }
  std::ofstream(file) << "# nobody\n\n";
  EXPECT_EQ(Run<ModelCommand>({"model", "--token-file", file}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("holds no token"));
}

}  // namespace
}  // namespace varserve::cli
