#include "server/grpc/probe_server.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "client/inference_client.h"

namespace varserve::rpc {
namespace {

using grpc::health::v1::HealthCheckResponse;

TEST(ProbeServer, TellsHealthByNameAndServesNothingElse) {
  const auto server = ProbeServer::Start("127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  const auto client =
      client::InferenceClient::Connect({.address = absl::StrCat("127.0.0.1:", (*server)->port())});
  const auto status = [&](absl::string_view name) { return (*client)->CheckHealth(name, {})->status(); };
  for (const auto& [live, ready] : {std::pair(false, false), std::pair(true, false), std::pair(true, true)}) {
    (*server)->SetHealth(live, ready);
    EXPECT_EQ(status(""), live ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
    EXPECT_EQ(status(client::InferenceClient::kService),
              ready ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  }
  EXPECT_EQ((*client)->CheckHealth("nobody", {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*client)->GetModel({}).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(ProbeServer, NamesTheFlagOfAPortThatIsTaken) {
  const auto first = ProbeServer::Start("127.0.0.1:0");
  const absl::Status second = ProbeServer::Start(absl::StrCat("127.0.0.1:", (*first)->port())).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(second.message().substr(0, 17), "--health_listen: ");
}

}  // namespace
}  // namespace varserve::rpc
