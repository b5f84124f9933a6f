// The commands against a server in this process: what they send, print, and end with.
#include "client/commands/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/ask.h"
#include "client/commands/caption.h"
#include "client/commands/chat.h"
#include "client/commands/compare.h"
#include "client/commands/health.h"
#include "client/commands/model.h"
#include "tests/unit/client/fake_server.h"

namespace varserve::cli {
namespace {

using client::Delta;
using client::FakeServer;
using client::Finished;
using client::OfSetting;
using client::Started;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

v1::GenerateResponse FinishedWithReport(const std::string& text) {
  v1::GenerateResponse response = Finished(text);
  v1::VarReport& report = *response.mutable_finished()->mutable_var_report();
  report.mutable_effective()->set_mode(v1::VAR_MODE_ON);
  report.mutable_effective()->set_variant(v1::VAR_VARIANT_PAPER);
  report.mutable_effective()->set_rho(0.5F);
  report.set_redistributed_attention(0.125F);
  v1::LayerReport& layer = *report.add_layers();
  layer.set_layer(7);
  layer.set_visual_sink_tokens(12);
  return response;
}

class CommandTest : public testing::Test {
 protected:
  CommandTest() : picture_(absl::StrCat(testing::TempDir(), "/varserve_command_test.jpg")) {
    std::ofstream(picture_, std::ios::binary) << "picture";
    program_.require_subcommand(1);
  }

  // As `varserve ARGUMENTS...` does; the exit code.
  template <typename SomeCommand>
  int Run(std::vector<std::string> arguments) {
    SomeCommand command(program_);
    std::reverse(arguments.begin(), arguments.end());
    try {
      program_.parse(arguments);
    } catch (const CLI::ParseError& error) {
      err_ << error.what();
      return kExitUsage;
    }
    if (const absl::Status status = command.Prepare(); !status.ok()) {
      err_ << status;
      return kExitUsage;
    }
    Console console{.out = out_, .err = err_, .width = 60};
    const std::unique_ptr<client::InferenceClient> client = server_.Connect();
    const absl::Status status = command.Run(*client, command.connection().call_options(nullptr), console);
    if (!status.ok()) err_ << status;
    return command.ExitCodeFor(status);
  }

  const std::string picture_;
  CLI::App program_;
  FakeServer server_;
  std::ostringstream out_;
  std::ostringstream err_;
};

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
                                             {"ask", picture_, "?", "--tau", "20"},  // without --var
                                             {"ask", picture_, "?", "--max-tokens", "-1"},
                                             {"ask", picture_, "?", "--timeout", "0"}}) {
    CommandTest_UsageErrorsComeBeforeAnyCall_Test::program_.clear();
    EXPECT_EQ(Run<AskCommand>(arguments), kExitUsage) << testing::PrintToString(arguments);
    program_.remove_subcommand(program_.get_subcommand("ask"));
  }
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandTest, ErrorsHaveTheirExitCodes) {
  const std::pair<grpc::StatusCode, int> cases[] = {
      {grpc::StatusCode::INTERNAL, kExitError},
      {grpc::StatusCode::INVALID_ARGUMENT, kExitRefused},
      {grpc::StatusCode::FAILED_PRECONDITION, kExitRefused},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, kExitBusy},
      {grpc::StatusCode::UNAVAILABLE, kExitBusy},
      {grpc::StatusCode::DEADLINE_EXCEEDED, kExitDeadline},
      {grpc::StatusCode::UNAUTHENTICATED, kExitUnauthenticated},
      {grpc::StatusCode::CANCELLED, kExitInterrupted},
  };
  for (const auto& [code, exit_code] : cases) {
    server_.Expect({.status = grpc::Status(code, "why")});
    program_.clear();
    EXPECT_EQ(Run<CaptionCommand>({"caption", picture_, "--length", "short"}), exit_code);
    program_.remove_subcommand(program_.get_subcommand("caption"));
  }
}

TEST_F(CommandTest, ChatReadsTheConversation) {
  const std::string file = absl::StrCat(testing::TempDir(), "/varserve_command_test.json");
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

TEST_F(CommandTest, CompareIsOffAndOnByDefault) {
  server_.Expect(
      {.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, FinishedWithReport("A cat."))}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("same\n"));
  ASSERT_EQ(server_.compare_requests().at(0).settings_size(), 2);
  EXPECT_EQ(server_.compare_requests()[0].settings(1).mode(), v1::VAR_MODE_ON);
}

TEST_F(CommandTest, ModelShowsWhatIsServed) {
  v1::Model model;
  model.set_name("llava\x1b");
  model.mutable_decoder()->set_layers(30);
  server_.SetModel(model);
  server_.Expect({});
  EXPECT_EQ(Run<ModelCommand>({"model"}), kExitOk);
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("llava\uFFFD\n"), HasSubstr("30 layers"), HasSubstr("VAR can only be off")));
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
  const std::string file = absl::StrCat(testing::TempDir(), "/varserve_command_test.token");
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

}  // namespace
}  // namespace varserve::cli
