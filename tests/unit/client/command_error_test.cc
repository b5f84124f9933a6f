// What the commands do when files, servers or readers of the output are not as they should be.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <streambuf>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/commands/ask.h"
#include "client/commands/caption.h"
#include "client/commands/chat.h"
#include "client/commands/compare.h"
#include "client/commands/explain.h"
#include "client/commands/health.h"
#include "client/commands/model.h"
#include "google/rpc/retry.pb.h"
#include "tests/unit/client/command_testing.h"

namespace varserve::cli {
namespace {

using client::Delta;
using client::Finished;
using client::OfSetting;
using client::Started;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A pipe whose reader went away after so many bytes.
class ClosedPipe : public std::streambuf {
 public:
  explicit ClosedPipe(int room) : room_(room) {}

 protected:
  int_type overflow(int_type c) override {
    return room_-- > 0 ? traits_type::not_eof(c) : traits_type::eof();
  }

 private:
  int room_;
};

class CommandErrorTest : public CommandTest {
 protected:
  // Of every line of the output a JSON object.
  void ExpectJsonLines() {
    EXPECT_TRUE(out_.str().empty() || absl::EndsWith(out_.str(), "\n"));
    for (const absl::string_view line : absl::StrSplit(out_.str(), '\n', absl::SkipEmpty())) {
      EXPECT_TRUE(nlohmann::json::accept(line)) << line;
    }
  }
};

TEST_F(CommandErrorTest, EveryCodeHasItsExitCode) {
  google::rpc::Status details;
  details.add_details()->PackFrom(google::rpc::RetryInfo());
  const std::pair<grpc::Status, int> cases[] = {
      {{grpc::StatusCode::INTERNAL, "why"}, kExitError},
      {{grpc::StatusCode::INVALID_ARGUMENT, "why"}, kExitRefused},
      {{grpc::StatusCode::FAILED_PRECONDITION, "why"}, kExitRefused},
      {{grpc::StatusCode::RESOURCE_EXHAUSTED, "fits at no time"}, kExitRefused},
      {{grpc::StatusCode::RESOURCE_EXHAUSTED, "queue", details.SerializeAsString()}, kExitBusy},
      {{grpc::StatusCode::UNAVAILABLE, "why"}, kExitBusy},
      {{grpc::StatusCode::DEADLINE_EXCEEDED, "why"}, kExitDeadline},
      {{grpc::StatusCode::UNAUTHENTICATED, "why"}, kExitUnauthenticated},
      {{grpc::StatusCode::CANCELLED, "the server did"}, kExitError},
  };
  for (const auto& [status, exit_code] : cases) {
    server_.Expect({.status = status});
    EXPECT_EQ(Run<CaptionCommand>({"caption", picture_, "--length", "short"}), exit_code)
        << status.error_message();
  }
  EXPECT_THAT(err_.str(), HasSubstr("varserve: try again in 0"));
}

TEST_F(CommandErrorTest, OnlyTheUserInterrupts) {
  server_.Expect({.responses = {Started("id")}, .hang = true});
  cancellation_.Cancel();
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?"}), kExitInterrupted);
}

TEST_F(CommandErrorTest, TheTimeoutEndsACall) {
  server_.Expect({.responses = {Started("id")}, .hang = true});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--timeout", "0.05"}), kExitDeadline);
  EXPECT_THAT(err_.str(), HasSubstr("varserve: the call took longer than --timeout\n"));
}

TEST_F(CommandErrorTest, NobodyThereIsBusy) {
  EXPECT_EQ(Run<ModelCommand>({"model", "--address", "unix:/no/such/socket"}), kExitBusy);
  EXPECT_EQ(Run<ModelCommand>({"model", "--address", "127.0.0.1:1"}), kExitBusy);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("varserve: UNAVAILABLE: "),
                                HasSubstr("varserve: the server at 127.0.0.1:1 is not running; start it")));
}

TEST_F(CommandErrorTest, ValuesOfANewerServerAreNumbers) {
  v1::GenerateResponse finished = FinishedWithReport("A cat.");
  finished.mutable_finished()->set_finish_reason(static_cast<v1::FinishReason>(97));
  v1::VarOptions& effective = *finished.mutable_finished()->mutable_var_report()->mutable_effective();
  effective.set_mode(static_cast<v1::VarMode>(98));
  effective.set_variant(static_cast<v1::VarVariant>(99));
  v1::Model model;
  model.mutable_default_var()->set_mode(static_cast<v1::VarMode>(96));
  server_.SetModel(model);

  server_.Expect({.responses = {finished}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--var", "on"}), kExitOk);
  EXPECT_THAT(err_.str(), HasSubstr("VAR 98 (99): "));
  server_.Expect(
      {.compare_responses = {OfSetting(0, finished), OfSetting(1, finished), OfSetting(7, finished)}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("finish reason                 97       97\n"));
  server_.Expect({});
  EXPECT_EQ(Run<ModelCommand>({"model"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("VAR default   96\n"));

  out_.str("");
  server_.Expect({.responses = {finished}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--json"}), kExitOk);
  ExpectJsonLines();
  EXPECT_EQ(nlohmann::json::parse(out_.str())["finished"]["finish_reason"], 97);
}

TEST_F(CommandErrorTest, EventsOfANewerServerAreSkipped) {
  v1::GenerateResponse unknown;
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddLengthDelimited(99)->append("news");
  server_.Expect(
      {.responses = {unknown, Started("id"), unknown, Delta("A cat.", 1), unknown, Finished("A cat.")}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), "A cat.\n");
}

TEST_F(CommandErrorTest, AnAnswerThatBreaksOffEndsItsLine) {
  for (const bool with_status : {true, false}) {
    out_.str("");
    server_.Expect(
        {.responses = {Started("id"), Delta("A ca", 1)},
         .status = with_status ? grpc::Status(grpc::StatusCode::INTERNAL, "logits") : grpc::Status()});
    EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?"}), kExitError);
    EXPECT_EQ(out_.str(), "A ca\n");
  }
  EXPECT_THAT(err_.str(), HasSubstr("INTERNAL: stream: the server ended it without a result"));
}

TEST_F(CommandErrorTest, JsonStaysJsonHoweverTheCallEnds) {
  for (const auto code : {grpc::StatusCode::OK, grpc::StatusCode::INTERNAL, grpc::StatusCode::UNAVAILABLE,
                          grpc::StatusCode::CANCELLED, grpc::StatusCode::RESOURCE_EXHAUSTED}) {
    const grpc::Status status(code, "why");
    server_.Expect({.responses = {Started("id"), Delta("\"\n\\", 1)}, .status = status});
    EXPECT_NE(Run<AskCommand>({"ask", picture_, "?", "--json"}), kExitOk);
    server_.Expect({.compare_responses = {OfSetting(0, Delta("A", 1))}, .status = status});
    EXPECT_NE(Run<CompareCommand>({"compare", picture_, "?", "--json"}), kExitOk);
    server_.Expect({.status = grpc::Status(grpc::StatusCode::INTERNAL, "why")});
    EXPECT_NE(Run<ModelCommand>({"model", "--json"}), kExitOk);
    server_.Expect({.status = grpc::Status(grpc::StatusCode::INTERNAL, "why")});
    EXPECT_NE(Run<ExplainCommand>({"explain", picture_, "?", "--json"}), kExitOk);
  }
  server_.SetServing(client::InferenceClient::kService, false);
  EXPECT_EQ(Run<HealthCommand>({"health", "--json"}), kExitError);
  EXPECT_THAT(out_.str(), HasSubstr("NOT_SERVING"));
  ExpectJsonLines();
}

TEST_F(CommandErrorTest, NobodyReadsTheOutput) {
  const std::vector<std::pair<std::vector<std::string>, int>> cases = {
      {{"ask", picture_, "?"}, 3},
      {{"ask", picture_, "?", "--json"}, 0},
      {{"ask", picture_, "?", "--json"}, 40}};
  for (const auto& [arguments, room] : cases) {
    ClosedPipe pipe(room);
    std::ostream out(&pipe);
    // It hangs until it is cancelled: an answer that nobody reads is not waited for.
    server_.Expect({.responses = {Started("id"), Delta("A cat.", 1)}, .hang = true});
    EXPECT_EQ(Run<AskCommand>(arguments, {.out = out, .err = err_}), kExitError);
  }
  EXPECT_THAT(err_.str(), StartsWith("varserve: standard output cannot be written\n"));
  EXPECT_THAT(err_.str(), Not(HasSubstr("CANCELLED")));
}

TEST_F(CommandErrorTest, FilesThatCannotBeSent) {
  const std::string huge = Path("huge");
  std::ofstream(huge).close();
  std::filesystem::resize_file(huge, (int64_t{1} << 30) + 1);  // sparse
  const std::pair<std::string, std::string> cases[] = {
      {"/no/such/file", "No such file"}, {dir_.path(), "Is a directory"}, {huge, "larger than 1 GiB"}};
  for (const auto& [path, problem] : cases) {
    err_.str("");
    EXPECT_EQ(Run<AskCommand>({"ask", picture_, path, "?"}), kExitUsage);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr(path), HasSubstr(problem)));
    EXPECT_EQ(Run<CaptionCommand>({"caption", path}), kExitUsage);
    EXPECT_EQ(Run<ChatCommand>({"chat", path}), kExitUsage);
    EXPECT_EQ(Run<ModelCommand>({"model", "--token-file", path}), kExitUsage);
    EXPECT_EQ(Run<ModelCommand>({"model", "--tls-ca", path}), kExitUsage);
    EXPECT_THAT(err_.str(),
                AllOf(HasSubstr("--token-file: " + path + ": "), HasSubstr("--tls-ca: " + path + ": ")));
  }
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandErrorTest, ExplainShowsWhatChangesSomething) {
  for (const auto& [setting, problem] :
       {std::pair("off", "mode: VAR must be on"), std::pair("observe+vcd", "mode: VAR must be on"),
        std::pair("pai,detail=tokens", "detail: has no effect here"),
        std::pair("on,map_layers=3", "map_layers: has no effect here")}) {
    EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--intervention", setting}), kExitUsage);
    EXPECT_THAT(err_.str(), HasSubstr(absl::StrCat("--intervention ", setting, ": ", problem)));
  }
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--intervention", "pai", "--rho", "0.5"}),
            kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--intervention: cannot be combined with --var and its fields"));
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandErrorTest, TextThatIsNotUtf8IsNotSent) {
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "caf\xe9?"}), kExitUsage);
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--stop", "caf\xe9"}), kExitUsage);
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "caf\xe9?", "--json"}), kExitUsage);
  EXPECT_EQ(Run<HealthCommand>({"health", "--service", "caf\xe9", "--json"}), kExitUsage);
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandErrorTest, MessagesCannotSteerTheTerminal) {
  server_.Expect({.status = grpc::Status(grpc::StatusCode::INTERNAL, "\x1b[2J\n\x9b")});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?"}), kExitError);
  EXPECT_EQ(Run<AskCommand>({"ask", "/no/\x1b[2J", "?"}), kExitUsage);
  EXPECT_THAT(err_.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(err_.str(), HasSubstr("varserve: INTERNAL: \uFFFD[2J\\n"));
}

}  // namespace
}  // namespace varserve::cli
