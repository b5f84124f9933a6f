#include "server/http/tls_context.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::http {
namespace {

namespace ssl = boost::asio::ssl;

constexpr absl::Duration kLookEvery = absl::Seconds(5);

absl::Status Unusable(const char* flag, const std::string& path, const boost::system::error_code& error) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", path, ": ", error.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Load(const transport::TlsFiles& files,
                                                             telemetry::Logger* logger) {
  auto result = absl::WrapUnique(new TlsContext(files, logger));
  result->version_ = result->VersionOfFiles();
  result->looked_ = result->clock_.Now();
  ASSIGN_OR_RETURN(result->context_, result->Read());
  return result;
}

absl::StatusOr<std::shared_ptr<ssl::context>> TlsContext::Read() const {
  RETURN_IF_ERROR(transport::CheckTlsFiles(files_));
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);  // of idle connections
  boost::system::error_code error;
  context->use_certificate_chain_file(files_.cert, error);
  if (error) return Unusable("tls_cert", files_.cert, error);
  context->use_private_key_file(files_.key, ssl::context::pem, error);
  if (error) return Unusable("tls_key", files_.key, error);
  if (files_.client_ca.empty()) return context;
  context->load_verify_file(files_.client_ca, error);
  if (error) return Unusable("tls_client_ca", files_.client_ca, error);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  // Sessions of clients with certificates need a name, or are refused when they are resumed.
  constexpr unsigned char kSessions[] = "varserve";
  SSL_CTX_set_session_id_context(context->native_handle(), kSessions, sizeof(kSessions) - 1);
  return context;
}

std::string TlsContext::VersionOfFiles() const {
  std::string version;
  for (const std::string* path : {&files_.cert, &files_.key, &files_.client_ca}) {
    struct stat info = {};
    if (stat(path->c_str(), &info) == 0)
      absl::StrAppend(&version, info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "/", info.st_ino);
    absl::StrAppend(&version, ";");
  }
  return version;
}

std::shared_ptr<ssl::context> TlsContext::Current() {
  if (clock_.Now() - looked_ < kLookEvery) return context_;
  looked_ = clock_.Now();
  std::string version = VersionOfFiles();
  if (version == version_) return context_;
  version_ = std::move(version);
  absl::StatusOr<std::shared_ptr<ssl::context>> context = Read();
  if (context.ok()) {
    context_ = *std::move(context);
  } else {
    logger_->Error(absl::StrCat(context.status().message(), ": the previous certificates stay in use"));
  }
  return context_;
}

}  // namespace varserve::http
