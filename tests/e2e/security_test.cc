// Bearer tokens, TLS and mTLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "absl/time/clock.h"
#include "tests/e2e/certificates.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
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
}

TEST_F(SecurityTest, TlsShowsWhoTheServerIs) {
  ServerProcess server(model_.dir(), TlsFlags(MakeCertificate(authority_)));
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(WithTls(server, authority_).ok());
  EXPECT_TRUE(absl::IsUnavailable(WithTls(server, stranger_))) << "signed by somebody else";
  EXPECT_TRUE(absl::IsUnavailable(Call(server, {}))) << "plain text";
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
      {{cert}, "tls_cert and tls_key are both needed"},
      {{cert, "--tls_key=" + nothing}, "tls_key: " + nothing},
      {{"--tls_cert=" + nothing, key}, "tls_cert: " + nothing},
      {{cert, key, "--tls_client_ca=" + nothing}, "tls_client_ca: " + nothing},
      {{"--token_file=" + nothing + ".not"}, "token_file: " + nothing},
  };
  for (const auto& [flags, problem] : cases) {
    ServerProcess server(model_.dir(), flags);
    EXPECT_EQ(server.WaitForExit(), 1);
    EXPECT_THAT(server.Log(), HasSubstr(problem));
  }
}

}  // namespace
}  // namespace varserve::testing
