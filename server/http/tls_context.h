// The certificates of new TLS connections, read again when their files change. Thread-compatible.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/telemetry/logging.h"
#include "server/transport/tls_files.h"

namespace varserve::http {

class TlsContext {
 public:
  // The files must have passed CheckTlsFiles. The logger must outlive it. INVALID_ARGUMENT naming the flag.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Load(const transport::TlsFiles& files,
                                                          telemetry::Logger* logger);

  // For the next connection. While changed files are not usable, the last usable ones apply.
  std::shared_ptr<boost::asio::ssl::context> Current();

 private:
  TlsContext(transport::TlsFiles files, telemetry::Logger* logger)
      : files_(std::move(files)), logger_(logger) {}
  absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> Read() const;
  std::string VersionOfFiles() const;

  const transport::TlsFiles files_;
  telemetry::Logger* const logger_;
  const MonotonicClock clock_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::string version_;
  absl::Time looked_;
};

}  // namespace varserve::http
