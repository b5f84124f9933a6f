#include "server/grpc/grpc_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

constexpr unsigned kCertificateRefreshSeconds = 5;
constexpr int kLookaheadBytes = 256 << 10;

// gRPC would start with unusable files, and then every handshake would fail.
absl::Status CheckTlsFiles(const GrpcServerOptions& o) {
  const auto read = [](const std::string& path, auto pem_read) {
    char no_password[] = "";  // instead of a prompt on the terminal
    using Object = std::remove_pointer_t<decltype(pem_read(nullptr, nullptr, nullptr, nullptr))>;
    const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "r"), BIO_free);
    Object* object = file == nullptr ? nullptr : pem_read(file.get(), nullptr, nullptr, no_password);
    ERR_clear_error();
    return object;
  };
  const std::unique_ptr<X509, decltype(&X509_free)> cert(read(o.tls_cert, PEM_read_bio_X509), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(read(o.tls_key, PEM_read_bio_PrivateKey),
                                                                EVP_PKEY_free);
  if (cert == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("--tls_cert: ", o.tls_cert, " holds no PEM certificate"));
  if (key == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("--tls_key: ", o.tls_key, " holds no PEM private key"));
  if (X509_check_private_key(cert.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("--tls_key: ", o.tls_key, " is not the key of the certificate in ", o.tls_cert));
  }
  if (o.tls_client_ca.empty()) return absl::OkStatus();
  const std::unique_ptr<X509, decltype(&X509_free)> ca(read(o.tls_client_ca, PEM_read_bio_X509), X509_free);
  if (ca == nullptr)
    return absl::InvalidArgumentError(
        absl::StrCat("--tls_client_ca: ", o.tls_client_ca, " holds no PEM certificate"));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const GrpcServerOptions& o) {
  if (o.tls_cert.empty() && o.tls_key.empty() && o.tls_client_ca.empty())
    return grpc::InsecureServerCredentials();
  if (o.tls_cert.empty() || o.tls_key.empty())
    return absl::InvalidArgumentError("--tls_cert, --tls_key: both are needed");
  RETURN_IF_ERROR(CheckTlsFiles(o));
  auto provider = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      o.tls_key, o.tls_cert, o.tls_client_ca, kCertificateRefreshSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(std::move(provider));
  tls.watch_identity_key_cert_pairs();
  if (!o.tls_client_ca.empty()) {
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
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials, Credentials(options));
  auto result = absl::WrapUnique(new GrpcServer(service));
  if (!options.health_listen.empty()) {
    ASSIGN_OR_RETURN(result->probes_, ProbeServer::Start(options.health_listen));
  }
  ASSIGN_OR_RETURN(result->acceptor_,
                   ConnectionAcceptor::Listen("listen", options.listen, options.max_connections));
  ConnectionAcceptor& acceptor = *result->acceptor_;
  if (acceptor.max_connections() < options.max_connections) {
    logger->Warning(
        "fewer connections than --max_connections: the limit on open files (ulimit -n) is too low",
        {{"max_connections", int64_t{acceptor.max_connections()}}});
  }
  if (service->needs_token() && options.tls_cert.empty() && !acceptor.local())
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
      [&acceptor](const std::string& peer) { return acceptor.BytesReceived(peer); });
  acceptor.Start(result->connections_.get());
  return result;
}

void GrpcServer::SetHealth(bool live, bool ready) {
  health_.Set("", live);
  health_.Set(v1::VisionLanguage::service_full_name(), ready);
  if (probes_ != nullptr) probes_->SetHealth(live, ready);
}

void GrpcServer::Shutdown(absl::Time deadline) {
  acceptor_->Stop();
  SetHealth(/*live=*/true, /*ready=*/false);
  health_.EndWatches();
  server_->Shutdown(absl::ToChronoTime(deadline));
  service_->open_calls().MeasureWith(nullptr);
}

}  // namespace varserve::rpc
