#include "server/rpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::rpc {
namespace {

constexpr unsigned kCertificateRefreshSeconds = 5;

// gRPC would start with files it cannot use, and every handshake fail.
absl::Status CheckTlsFiles(const GrpcServerOptions& o) {
  const auto read = [](const std::string& path, auto pem_read) {
    char no_password[] = "";  // rather than a question on the terminal
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
    return absl::InvalidArgumentError(absl::StrCat("tls_cert: ", o.tls_cert, " holds no PEM certificate"));
  if (key == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("tls_key: ", o.tls_key, " holds no PEM private key"));
  if (X509_check_private_key(cert.get(), key.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("tls_key: ", o.tls_key, " is not the key of the certificate in ", o.tls_cert));
  }
  if (o.tls_client_ca.empty()) return absl::OkStatus();
  const std::unique_ptr<X509, decltype(&X509_free)> ca(read(o.tls_client_ca, PEM_read_bio_X509), X509_free);
  if (ca == nullptr)
    return absl::InvalidArgumentError(
        absl::StrCat("tls_client_ca: ", o.tls_client_ca, " holds no PEM certificate"));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const GrpcServerOptions& o) {
  if (o.tls_cert.empty() && o.tls_key.empty() && o.tls_client_ca.empty())
    return grpc::InsecureServerCredentials();
  if (o.tls_cert.empty() || o.tls_key.empty())
    return absl::InvalidArgumentError("tls: tls_cert and tls_key are both needed");
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

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              InferenceService* service) {
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ServerCredentials> credentials, Credentials(options));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  auto result = absl::WrapUnique(new GrpcServer());
  if (!options.health_listen.empty()) {
    ASSIGN_OR_RETURN(result->probes_, ProbeServer::Start(options.health_listen));
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, credentials, &result->port_);
  builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options.max_metadata_bytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  // Two servers on one port would share its connections without anybody noticing.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Clients may ping every ten seconds while a long prefill sends nothing; the default of five minutes would
  // drop them.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // Connections whose peer is gone without a word are noticed by the server's own pings.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  result->server_ = builder.BuildAndStart();
  if (result->server_ == nullptr || result->port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat("listen: cannot listen on ", options.listen, "; is the port taken?"));
  }
  result->SetHealth(/*live=*/true, /*ready=*/false);
  return result;
}

void GrpcServer::SetHealth(bool live, bool ready) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus("", live);
  health->SetServingStatus(v1::VisionLanguage::service_full_name(), ready);
  if (probes_ != nullptr) probes_->SetHealth(live, ready);
}

void GrpcServer::Shutdown(absl::Time deadline) { server_->Shutdown(absl::ToChronoTime(deadline)); }

}  // namespace varserve::rpc
