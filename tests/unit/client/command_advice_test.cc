// What a command's errors advise: which file or flag to change, and how to connect.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
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
using client::OfSetting;
using client::Started;
using ::testing::HasSubstr;

using CommandAdviceTest = CommandTest;

// A port that answers whatever is sent as a server of HTTP/1.1 answers nonsense.
class Http1Port {
 public:
  Http1Port() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(name);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&name), length), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &length), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(name.sin_port));
    thread_ = std::thread([this] { Answer(); });
  }
  ~Http1Port() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  const std::string& address() const { return address_; }

 private:
  void Answer() {
    constexpr absl::string_view kAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for (int peer = accept(listener_, nullptr, nullptr); peer >= 0;
         peer = accept(listener_, nullptr, nullptr)) {
      std::array<char, 4096> request;
      if (recv(peer, request.data(), request.size(), 0) > 0)
        send(peer, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
      while (recv(peer, request.data(), request.size(), 0) > 0) {
        // Closing with unread bytes would reset the connection, and the answer might be lost.
      }
      close(peer);
    }
  }

  int listener_;
  std::string address_;
  std::thread thread_;
};

TEST_F(CommandAdviceTest, TlsOnOneSideOnlyIsPointedOut) {
  const varserve::testing::Certificate authority = varserve::testing::MakeAuthority("ours");
  const varserve::testing::Certificate own = varserve::testing::MakeCertificate(authority);
  const std::string ca = Path("pem");
  std::ofstream(ca) << authority.cert;
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({own.key, own.cert});
  const client::FakeServer with_tls(grpc::SslServerCredentials(tls));
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"model", "--tls"}, server_.address() + " may not use TLS"},
      {{"model", "--address", with_tls.address()}, with_tls.address() + " may use TLS; try --tls"},
      {{"model", "--address", with_tls.address(), "--tls"}, "is not trusted; name the authority"},
      {{"model", "--address", with_tls.address(), "--tls-ca", ca, "--tls-server-name", "other"},
       "has a certificate for another name"},
  };
  for (const auto& [arguments, hint] : cases) {
    err_.str("");
    EXPECT_EQ(Run<ModelCommand>(arguments), kExitBusy);
    EXPECT_THAT(err_.str(), HasSubstr(hint));
  }
  std::filesystem::remove(ca);
}

TEST_F(CommandAdviceTest, APortOfHttpIsPointedOut) {
  const Http1Port http;
  EXPECT_EQ(Run<ModelCommand>({"model", "--address", http.address()}), kExitBusy);
  EXPECT_THAT(err_.str(), HasSubstr(http.address() + " speaks HTTP/1.1; name its gRPC port"));
}

TEST_F(CommandAdviceTest, AServersOwnWordsGetNoHint) {
  server_.Expect({.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed, it said")});
  EXPECT_EQ(Run<ModelCommand>({"model"}), kExitBusy);
  EXPECT_EQ(err_.str(), "varserve: UNAVAILABLE: Socket closed, it said\n");
}

TEST_F(CommandAdviceTest, APictureIsCalledByItsFile) {
  const auto refuse = [this](const std::string& field) {
    err_.str("");
    server_.Expect({.status = grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, field + ": no data")});
  };
  const std::string named = " (" + picture_ + "): no data\n";
  refuse("images[1].data");
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, picture_, "?"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("images[1].data" + named));
  refuse("image.data");
  EXPECT_EQ(Run<CaptionCommand>({"caption", picture_}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("image.data" + named));
  refuse("request.messages[0].parts[0].image.data");
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("image.data" + named));
  refuse("request.messages[0].parts[0].image.data");
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("image.data" + named));

  const std::string file = Path("json");
  std::ofstream(file) << R"([{"role": "user", "content": "Hi"}, {"role": "user", "content": [
      {"type": "text", "text": "?"}, {"type": "image", "path": ")"
                      << picture_ << R"("}]}])";
  refuse("messages[1].parts[1].image.data");
  EXPECT_EQ(Run<ChatCommand>({"chat", file}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("messages[1].parts[1].image.data" + named));
  refuse("question");
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("question: no data\n"));
}

TEST_F(CommandAdviceTest, APageThatCannotBeWrittenIsNotMade) {
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--out", "/no/such/page.html"}), kExitError);
  EXPECT_THAT(err_.str(),
              HasSubstr("--out: /no/such/page.html cannot be written: No such file or directory\n"));
  EXPECT_TRUE(server_.metadata().empty()) << "found out before the calls";
  const std::string kept = Path("kept.html");
  const std::string absent = Path("absent.html");
  std::ofstream(kept) << "kept";
  for (const std::string& path : {kept, absent})  // the server has no answer
    EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--out", path}), kExitError);
  EXPECT_FALSE(std::filesystem::exists(absent));
  EXPECT_EQ(std::filesystem::file_size(kept), 4);
}

TEST_F(CommandAdviceTest, APageThatCannotBeWrittenSaysWhy) {
  v1::Model model;
  model.mutable_limits()->set_max_settings(2);
  model.mutable_decoder()->set_layers(1);
  server_.SetModel(model);
  server_.Expect({});
  v1::GenerateResponse started = Started("id");
  started.mutable_started()->mutable_intervention()->mutable_var()->set_mode(v1::VAR_MODE_ON);
  server_.Expect({.compare_responses = {OfSetting(0, started), OfSetting(0, Finished("A cat."))}});
  server_.Expect({.compare_responses = {OfSetting(0, Finished("A cat.")), OfSetting(1, Finished("A cat."))}});
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--out", "/dev/full"}), kExitError);
  EXPECT_THAT(err_.str(), HasSubstr("--out: /dev/full cannot be written: No space left on device\n"));
}

// The server knows its default, and whether the fields would have an effect.
TEST_F(CommandAdviceTest, FieldsOfVarAreSentWithoutAMode) {
  server_.Expect({.responses = {Finished("A cat.")}});
  EXPECT_EQ(Run<AskCommand>({"ask", picture_, "?", "--rho", "0.5", "--detail", "tokens"}), kExitOk)
      << err_.str();
  const v1::AnswerRequest request = server_.answer_requests().at(0);
  EXPECT_EQ(request.var().mode(), v1::VAR_MODE_UNSPECIFIED);
  EXPECT_EQ(request.var().rho(), 0.5F);
  EXPECT_EQ(request.var().detail(), v1::VAR_DETAIL_TOKENS);
  server_.Expect({.compare_responses = {OfSetting(0, Finished("A cat."))}});
  EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", "rho=0.5"}), kExitOk) << err_.str();
  EXPECT_EQ(server_.compare_requests().at(0).settings(0).rho(), 0.5F);
}

TEST_F(CommandAdviceTest, WhatWouldBeIgnoredIsRefused) {
  const std::pair<std::vector<std::string>, std::string> asked[] = {
      {{"--var", "off", "--min-visual-attention", "0"},
       "--min-visual-attention: has no effect where VAR is off"},
      {{"--map-layers", "3"}, "--map-layers: has no effect unless detail is maps"},
      {{"--var", "on", "--map-layers", "3"}, "--map-layers: has no effect unless detail is maps"},
      {{"--var", "on", "--detail", "maps"}, "--detail: maps need --json"},
  };
  for (const auto& [flags, problem] : asked) {
    std::vector<std::string> arguments = {"ask", picture_, "?"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    err_.str("");
    EXPECT_EQ(Run<AskCommand>(arguments), kExitUsage);
    EXPECT_THAT(err_.str(), HasSubstr(problem));
    arguments[0] = "caption";
    arguments.erase(arguments.begin() + 2);
    EXPECT_EQ(Run<CaptionCommand>(arguments), kExitUsage);
  }
  const std::pair<std::string, std::string> compared[] = {
      {"off,rho=0.5", "--setting off,rho=0.5: rho: has no effect where VAR is off"},
      {"on,detail=maps", "--setting on,detail=maps: detail: maps need --json"},
      {"on,rho=x", "--setting on,rho=x: rho: \"x\" is not a number"},
      {"maybe", "--setting maybe: \"maybe\" is not one of off, observe, on, pai"},
  };
  for (const auto& [setting, problem] : compared) {
    err_.str("");
    EXPECT_EQ(Run<CompareCommand>({"compare", picture_, "?", "--setting", setting}), kExitUsage);
    EXPECT_THAT(err_.str(), HasSubstr(problem));
  }
  EXPECT_EQ(Run<ExplainCommand>({"explain", picture_, "?", "--json", "--out", "page.html"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--out: has no effect with --json"));
  EXPECT_TRUE(server_.metadata().empty());
}

}  // namespace
}  // namespace varserve::cli
