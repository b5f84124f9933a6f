// Bearer tokens, TLS and mTLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "absl/time/clock.h"
#include "tests/e2e/certificates.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/temp_dir.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;

class SecurityTest : public ::testing::Test {
 protected:
  // A call that fails fast or is answered.
  static absl::Status Call(const ServerProcess& server, const client::ConnectOptions& options) {
    return Ask(*server.Connect(options), LongQuestion(1), {.timeout = absl::Seconds(20)});
  }
  static absl::Status WithToken(const ServerProcess& server, const std::string& token) {
    return Call(server, {.token = token});
  }
  static absl::Status WithTls(const ServerProcess& server, const Certificate& authority,
                              const Certificate& own = {}) {
    return Call(server, {.tls = client::TlsOptions{.ca = authority.cert, .cert = own.cert, .key = own.key}});
  }
  std::string File(const std::string& name, const std::string& content) const {
    return dir_.Write(name, content);
  }
  // The flags for a server with this certificate.
  std::vector<std::string> TlsFlags(const Certificate& certificate) const {
    return {"--tls_cert=" + File("server.pem", certificate.cert),
            "--tls_key=" + File("server.key", certificate.key)};
  }

  const ServableModel model_;
  const TempDir dir_;
  const Certificate authority_ = MakeAuthority("ours");
  const Certificate stranger_ = MakeAuthority("theirs");
};

TEST_F(SecurityTest, OnlyTokensOfTheFileAreLetIn) {
  const std::string path = File("tokens", "# staff\nalpha\nbravo\n");
  ServerProcess server(model_.dir(), {"--token_file=" + path});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithToken(server, "alpha").ok());
  EXPECT_TRUE(WithToken(server, "bravo").ok());
  for (const char* wrong : {"", "third", "alph", "alphaalpha", "# staff"}) {
    const absl::Status status = WithToken(server, wrong);
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("authorization: "));
  }
  EXPECT_TRUE(absl::IsUnauthenticated(server.Connect()->GetModel({}).status()));
  EXPECT_TRUE(server.Connect()->CheckHealth("", {}).ok()) << "probes need no token";
  EXPECT_THAT(server.Log(), ::testing::Not(HasSubstr("bravo")));

  File("tokens", "third\n");
  while (!WithToken(server, "third").ok()) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(absl::IsUnauthenticated(WithToken(server, "alpha")));

  File("tokens", "# nobody\n");
  while (WithToken(server, "third").ok()) absl::SleepFor(absl::Milliseconds(100));
  EXPECT_TRUE(absl::IsUnauthenticated(WithToken(server, "third")));
  EXPECT_TRUE(server.WaitForLog("holds no token: nobody may call"));
}

TEST_F(SecurityTest, ACallerIsLoggedByItsName) {
  ServerProcess server(model_.dir(), {"--token_file=" + File("tokens", "alice s3cret\n")});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithToken(server, "s3cret").ok());
  EXPECT_TRUE(server.WaitForLog("caller=alice"));
  EXPECT_TRUE(absl::IsUnauthenticated(WithToken(server, "wrong")));
  EXPECT_TRUE(server.WaitForLog("caller=127.0.0.1"));
  EXPECT_THAT(server.Log(), ::testing::Not(HasSubstr("s3cret")));
}

TEST_F(SecurityTest, TokensInPlainTextAreWarnedAbout) {
  const std::string tokens = "--token_file=" + File("tokens", "alpha\n");
  const std::vector<std::string> tls = TlsFlags(MakeCertificate(authority_));
  const std::pair<std::vector<std::string>, bool> cases[] = {
      {{tokens, "--listen=0.0.0.0:0"}, true},
      {{tokens}, false},
      {{tokens, "--listen=0.0.0.0:0", tls[0], tls[1]}, false},
      {{"--listen=0.0.0.0:0"}, false},
  };
  for (const auto& [flags, warned] : cases) {
    ServerProcess server(model_.dir(), flags);
    ASSERT_TRUE(server.WaitUntilReady());
    EXPECT_EQ(server.Log().find("plain text") != std::string::npos, warned);
  }
}

TEST_F(SecurityTest, WhoHasNoTokenTakesNoMemory) {
  ServerProcess server(model_.dir(), {"--token_file=" + File("tokens", "alpha\n")});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithToken(server, "alpha").ok());
  const std::string much = GrpcFrame(std::string(62 << 20, 'x'));
  const int64_t before = ProcessStatus(server.pid(), "VmRSS");
  std::vector<std::unique_ptr<Http2Client>> callers;
  for (const char* path : {"/varserve.v1.VisionLanguage/Answer", "/varserve.v1.VisionLanguage/GetModel",
                           "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    for (int i = 0; i < 2; ++i) {
      callers.push_back(std::make_unique<Http2Client>(server.port()));
      const int call = callers.back()->Call(path);
      callers.back()->Send(call, std::string_view(much).substr(0, much.size() - 1));
      EXPECT_TRUE(callers.back()->WaitForStatus(call).has_value()) << path;
    }
  }
  EXPECT_LT(ProcessStatus(server.pid(), "VmRSS"), before + (100 << 10)) << "of 620 MB";
  EXPECT_TRUE(WithToken(server, "alpha").ok());
}

TEST_F(SecurityTest, HandshakesThatStallDisturbNobody) {
  ServerProcess server(model_.dir(), TlsFlags(MakeCertificate(authority_)));
  ASSERT_TRUE(server.WaitUntilReady());
  std::vector<std::unique_ptr<Http2Client>> silent;  // never send a TLS handshake
  for (int i = 0; i < 50; ++i) silent.push_back(std::make_unique<Http2Client>(server.port()));
  EXPECT_TRUE(WithTls(server, authority_).ok());
}

TEST_F(SecurityTest, TlsShowsWhoTheServerIs) {
  ServerProcess server(model_.dir(), TlsFlags(MakeCertificate(authority_)));
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithTls(server, authority_).ok());
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, stranger_))) << "signed by somebody else";
  EXPECT_TRUE(absl::IsUnavailable(Call(server, {}))) << "plain text";
  EXPECT_TRUE(server.WaitForLog("warning grpc text=")) << "what gRPC says of that";
  EXPECT_TRUE(WithTls(server, authority_).ok());
}

TEST_F(SecurityTest, AnExpiredServerCertificateIsNotTrustedUntilItIsReplaced) {
  std::vector<std::string> flags = TlsFlags(MakeCertificate(authority_, -absl::Hours(1)));
  flags.push_back("--health_listen=127.0.0.1:0");
  ServerProcess server(model_.dir(), flags);
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, authority_)));
  const auto probe = client::InferenceClient::Connect({.address = server.health_address()});
  EXPECT_TRUE((*probe)->CheckHealth("", {}).ok()) << "it lives, whatever its certificate";
  EXPECT_EQ((*probe)->CheckHealth(client::InferenceClient::kService, {})->status(),
            grpc::health::v1::HealthCheckResponse::SERVING);
  TlsFlags(MakeCertificate(authority_));  // the same files, which the server reads again
  while (!WithTls(server, authority_).ok()) absl::SleepFor(absl::Milliseconds(500));
}

TEST_F(SecurityTest, MutualTlsLetsInWhoShowsAValidCertificate) {
  std::vector<std::string> flags = TlsFlags(MakeCertificate(authority_));
  flags.push_back("--tls_client_ca=" + File("client_ca.pem", authority_.cert));
  ServerProcess server(model_.dir(), flags);
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithTls(server, authority_, MakeCertificate(authority_)).ok());
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, authority_))) << "none";
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, authority_, MakeCertificate(stranger_))));
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, authority_, MakeCertificate(authority_, -absl::Hours(1)))));
  EXPECT_TRUE(WithTls(server, authority_, MakeCertificate(authority_)).ok());
}

TEST_F(SecurityTest, FilesThatCannotWorkAreRefusedAtStart) {
  const Certificate one = MakeCertificate(authority_);
  const Certificate other = MakeCertificate(authority_);
  const std::string cert = "--tls_cert=" + File("cert.pem", one.cert);
  const std::string key = "--tls_key=" + File("key.pem", one.key);
  const std::string other_key = "--tls_key=" + File("other.pem", other.key);
  const std::string nothing = File("nothing", "nothing");
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{cert, other_key}, "is not the key of the certificate"},
      {{cert}, "--tls_cert, --tls_key: both are needed"},
      {{cert, "--tls_key=" + nothing}, "--tls_key: " + nothing},
      {{"--tls_cert=" + nothing, key}, "--tls_cert: " + nothing},
      {{cert, key, "--tls_client_ca=" + nothing}, "--tls_client_ca: " + nothing},
      {{"--token_file=" + nothing + ".not"}, "--token_file: " + nothing},
  };
  for (const auto& [flags, problem] : cases) {
    ServerProcess server(model_.dir(), flags);
    EXPECT_EQ(server.WaitForExit(), 1);
    EXPECT_THAT(server.Log(), HasSubstr(problem));
  }
}

}  // namespace
}  // namespace varserve::testing
