#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/match.h"
#include "client/target.h"

namespace varserve::client {
namespace {

// A server that vanishes is detected within this time, even while a long prefill sends nothing. VARServe
// allows a ping every ten seconds.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ConnectOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  const TlsOptions& tls = *options.tls;
  if (tls.cert.empty() != tls.key.empty()) {
    return absl::InvalidArgumentError("tls: a client certificate needs its key, and a key its certificate");
  }
  if (!tls.ca.empty() && !absl::StrContains(tls.ca, "CERTIFICATE-----"))
    return absl::InvalidArgumentError("tls: the authority (ca) has no certificate in PEM format");
  return grpc::SslCredentials(
      {.pem_root_certs = tls.ca, .pem_private_key = tls.key, .pem_cert_chain = tls.cert});
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const ConnectOptions& options) {
  absl::StatusOr<std::string> target = ParseTarget(options.address);
  if (!target.ok()) return target.status();
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = Credentials(options);
  if (!credentials.ok()) return credentials.status();

  grpc::ChannelArguments arguments;
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetMaxReceiveMessageSize(
      -1);  // a reply with attention maps exceeds gRPC's 4 MB; the server has limits
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit on them
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  } else if (options.tls.has_value() && absl::StrContains(options.address, ',')) {
    return absl::InvalidArgumentError(
        "tls: several addresses need the server name that all their certificates have");
  }
  return grpc::CreateCustomChannel(*target, *credentials, arguments);
}

}  // namespace varserve::client
