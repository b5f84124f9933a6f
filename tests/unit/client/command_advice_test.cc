// What the commands advise after an error: the flag, the file or the address to change.
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/ask.h"
#include "client/commands/caption.h"
#include "client/commands/chat.h"
#include "client/commands/compare.h"
#include "client/commands/explain.h"
#include "client/commands/model.h"
#include "tests/e2e/certificates.h"
#include "tests/unit/client/command_testing.h"

namespace varserve::cli {
namespace {

using client::Finished;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using CommandAdviceTest = CommandTest;

TEST_F(CommandAdviceTest, AServerWithTlsIsCalledWithIt) {
  const auto authority = testing::MakeAuthority("test");
  const auto certificate = testing::MakeCertificate(authority);
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs = {{certificate.key, certificate.cert}};
  client::FakeServer server(grpc::SslServerCredentials(options));
  EXPECT_EQ(Run<ModelCommand>({"model", "--address", server.address()}), kExitBusy);
  EXPECT_THAT(err_.str(),
              HasSubstr("\nvarserve: the server at " + server.address() + " may use TLS; add --tls"));
  EXPECT_EQ(Run<ModelCommand>({"model", "--tls", "--address", server.address()}), kExitBusy);
  EXPECT_THAT(err_.str(),
              HasSubstr("\nvarserve: the certificate of " + server.address() + " is not trusted"));
  const std::string file = Path("pem");
  std::ofstream(file) << authority.cert;
  server.Expect({});
  EXPECT_EQ(Run<ModelCommand>({"model", "--tls-ca", file, "--address", server.address()}), kExitOk);
}

TEST_F(CommandAdviceTest, AFieldThatAFileFillsIsNamedWithTheFile) {
  const std::string other = Path("other.jpg");
  std::ofstream(other) << "other";
  const auto wrong = [](const std::string& field) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, field + ".data: is no picture");
  };
  const auto expect_named = [&](const std::string& field, const std::string& path) {
    EXPECT_THAT(err_.str(),
                EndsWith(absl::StrCat("varserve: INVALID_ARGUMENT: ", field,
                                      ".data: is no picture\nvarserve: ", field, " is ", path, "\n")));
  };
  server_.Expect({.status = wrong("images[1]")});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, other, "?"}), kExitRefused);
  expect_named("images[1]", other);
  server_.Expect({.status = wrong("image")});
  EXPECT_EQ(Run<CaptionCommand>({"caption", other}), kExitRefused);
  expect_named("image", other);
  server_.Expect({.status = wrong("request.messages[0].parts[1].image")});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, other, "?"}), kExitRefused);
  expect_named("request.messages[0].parts[1].image", other);
  const std::string chat = Path("json");
  std::ofstream(chat) << R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": [
      {"type": "image", "path": ")"
                      << picture_ << R"("}, {"type": "text", "text": "?"},
      {"type": "image", "path": ")"
                      << other << R"("}]}])";
  server_.Expect({.status = wrong("messages[1].parts[2].image")});
  EXPECT_EQ(Run<ChatCommand>({"chat", chat}), kExitRefused);
  expect_named("messages[1].parts[2].image", other);
  server_.Expect({.status = wrong("images[10]")});  // of a text that begins alike, none
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, other, "?"}), kExitRefused);
  EXPECT_THAT(err_.str(), EndsWith("images[10].data: is no picture\n"));
}

TEST_F(CommandAdviceTest, AFlagWithoutEffectIsRefused) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--var", "off", "--rho", "0.5"}, "--rho: has no effect with --var off"},
      {{"--rho", "0.5"}, "--rho: needs --var observe or --var on"},
      {{"--min-visual-attention", "0.5"}, "--min-visual-attention: needs --var"},
      {{"--var", "on", "--map-layers", "3"}, "--map-layers: has no effect without maps; add --detail maps"},
      {{"--var", "on", "--detail", "maps"}, "--detail: maps are printed only with --json"}};
  for (const auto& [flags, problem] : cases) {
    std::vector<std::string> arguments = {"ask", picture_, "?"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    err_.str("");
    EXPECT_EQ(Run<AskCommand>(arguments), kExitUsage);
    EXPECT_THAT(err_.str(), StartsWith("varserve: " + problem));
    arguments = {"caption", picture_};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(Run<CaptionCommand>(arguments), kExitUsage);
    arguments[0] = "chat";
    EXPECT_EQ(Run<ChatCommand>(arguments), kExitUsage);
  }
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", "on,detail=tokens"}), kExitUsage);
  EXPECT_TRUE(server_.metadata().empty());
  server_.Expect({.responses = {Finished("A cat.")}});
  EXPECT_EQ(Run<AskCommand>(
                {"ask", picture_, "?", "--var", "on", "--detail", "maps", "--map-layers", "1-2", "--json"}),
            kExitOk);
}

TEST_F(CommandAdviceTest, ConnectionErrorsNameTheFlag) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--tls-ca", "/no/such/file"}, "--tls-ca: /no/such/file: No such file"},
      {{"--tls-cert", picture_}, "--tls-key: is missing"},
      {{"--tls-key", picture_}, "--tls-cert: is missing"},
      {{"--tls", "--address", "a:1,b:2"}, "--tls-server-name: is missing"},
      {{"--address", "nowhere"}, "--address: \"nowhere\" has no port"},
      {{"--token", "\n"}, "--token: may contain only printable ASCII characters"},
      {{"--token-file", "/no/such/file"}, "--token-file: /no/such/file: No such file"}};
  for (const auto& [flags, problem] : cases) {
    std::vector<std::string> arguments = {"model"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    err_.str("");
    EXPECT_EQ(Run<ModelCommand>(arguments), kExitUsage);
    EXPECT_THAT(err_.str(), StartsWith("varserve: " + problem));
  }
  err_.str("");
  EXPECT_EQ(Run<ModelCommand>({"model", "--request-id", "\n"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--request-id: "));
  EXPECT_TRUE(server_.metadata().empty());
}

TEST_F(CommandAdviceTest, APageThatCannotBeWrittenIsNotMade) {
  for (const auto& [path, problem] :
       {std::pair<std::string, std::string>("/no/such/page", "No such file"),
        std::pair<std::string, std::string>(::testing::TempDir(), "Is a directory")}) {
    EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--out", path}), kExitUsage);
    EXPECT_THAT(err_.str(), HasSubstr(absl::StrCat("varserve: --out: cannot write ", path, ": ", problem)));
  }
  EXPECT_TRUE(server_.metadata().empty());
  // Whether it can be is found out without a trace.
  const std::string kept = Path("kept.html");
  const std::string absent = Path("absent.html");
  std::ofstream(kept) << "kept";
  for (const std::string& path : {kept, absent})
    EXPECT_NE(Run<ExplainCommand>({"explain", picture_, "?", "--out", path}), kExitOk);  // UNIMPLEMENTED
  EXPECT_FALSE(std::filesystem::exists(absent));
  EXPECT_EQ(std::filesystem::file_size(kept), 4);
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--out", "/dev/full"}), kExitError);
}

}  // namespace
}  // namespace varserve::cli
