#include "server/grpc/grpc_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "server/grpc/pass_connections.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

constexpr unsigned kCertificateRefreshSeconds = 5;
constexpr int kLookaheadBytes = 256 << 10;

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const transport::TlsFiles& tls_files) {
  RETURN_IF_ERROR(transport::CheckTlsFiles(tls_files));
  if (tls_files.empty()) return grpc::InsecureServerCredentials();
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      tls_files.key, tls_files.cert, tls_files.client_ca, kCertificateRefreshSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(std::move(provider));
  tls.watch_identity_key_cert_pairs();
  if (!tls_files.client_ca.empty()) {
    tls.watch_root_certs();
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

// gRPC takes milliseconds as int; the largest value means forever.
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(duration), 1, std::numeric_limits<int>::max()));
}

void SetLimits(const GrpcServerOptions& options, grpc::ServerBuilder& builder) {
  // gRPC checks a message's size only when it is complete; open_calls.h does so while it arrives.
  builder.SetMaxReceiveMessageSize(-1);
  // A kilobyte could expand to a megabyte before its size is checked.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // What a caller may send before the server reads, without the estimates that would raise it to megabytes. A
  // message that is being read gets more.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options.max_metadata_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  // For TLS and HTTP/2 settings.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.max_connection_idle));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(options.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(options.max_connection_age_grace));
  // Clients may ping every ten seconds while a long prefill sends nothing. gRPC's default of five minutes
  // would disconnect them.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // The server's own pings detect peers that disappeared.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
}

}  // namespace

GrpcServer::GrpcServer(InferenceService* service)
    : service_(service),
      health_(&service->open_calls()),
      reflection_(&service->open_calls(),
                  {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
                   v1::VisionLanguage::service_full_name()}) {}

GrpcServer::~GrpcServer() {
  if (server_ != nullptr) Shutdown(absl::Now());
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              InferenceService* service,
                                                              telemetry::Logger* logger) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials, Credentials(options.tls));
  auto result = absl::WrapUnique(new GrpcServer(service));
  if (!options.health_listen.empty()) {
    ASSIGN_OR_RETURN(result->probes_, ProbeServer::Start(options.health_listen));
  }
  ASSIGN_OR_RETURN(result->acceptor_,
                   transport::ConnectionAcceptor::Listen("listen", options.listen, options.max_connections,
                                                         options.other_files));
  transport::ConnectionAcceptor& acceptor = *result->acceptor_;
  if (acceptor.max_connections() < options.max_connections) {
    logger->Warning(
        "fewer connections than --max_connections: the limit on open files (ulimit -n) is too low",
        {{"max_connections", int64_t{acceptor.max_connections()}}});
  }
  if (service->needs_token() && options.tls.empty() && !acceptor.local())
    logger->Warning(
        "bearer tokens travel in plain text: set --tls_cert and --tls_key, or listen on 127.0.0.1");
  grpc::ServerBuilder builder;
  result->connections_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  builder.RegisterService(service);
  builder.RegisterService(&result->health_);
  builder.RegisterService(&result->reflection_);
  SetLimits(options, builder);
  result->server_ = builder.BuildAndStart();
  if (result->server_ == nullptr) return absl::UnavailableError("--listen: gRPC could not be started");
  result->SetHealth(/*live=*/true, /*ready=*/false);
  service->open_calls().MeasureWith(
      "grpc", [&acceptor](const std::string& peer) { return acceptor.BytesReceived(peer); });
  PassConnections(acceptor, result->connections_.get());
  return result;
}

void GrpcServer::SetHealth(bool live, bool ready) {
  health_.Set("", live);
  health_.Set(v1::VisionLanguage::service_full_name(), ready);
  if (probes_ != nullptr) probes_->SetHealth(live, ready);
}

void GrpcServer::Shutdown(absl::Time deadline) {
  acceptor_->Stop();
  health_.EndWatches();
  server_->Shutdown(absl::ToChronoTime(deadline));
  service_->open_calls().MeasureWith("grpc", nullptr);
}

}  // namespace varserve::rpc
