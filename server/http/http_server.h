// The HTTP server around the service: address, TLS, connections, shutdown. Thread-safe after Start.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/http/connection.h"
#include "server/http/openai_service.h"
#include "server/http/tls_context.h"
#include "server/telemetry/logging.h"
#include "server/transport/connection_acceptor.h"
#include "server/transport/tls_files.h"

namespace varserve::http {

struct HttpServerOptions {
  std::string listen = "0.0.0.0:8000";  // host:port, where port 0 picks a free one; or unix:PATH
  int max_connections = 1000;
  int other_files = 0;  // that the process may open in addition to these connections
  ConnectionOptions connection;
  transport::TlsFiles tls;
};

class HttpServer {
 public:
  // The service and the logger must outlive the server's calls.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                           std::unique_ptr<OpenAiService> service,
                                                           telemetry::Logger* logger);
  ~HttpServer();  // calls Shutdown without a grace period

  int port() const { return acceptor_->port(); }
  void SetReady(bool ready) { service_->SetReady(ready); }
  // Accepts no new requests, waits for running ones for that long, then disconnects them.
  void Shutdown(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  HttpServer(const HttpServerOptions& options, std::unique_ptr<OpenAiService> service)
      : options_(options), service_(std::move(service)) {}

  void Add(int socket) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(Connection* connection) ABSL_LOCKS_EXCLUDED(mu_);
  // Has each open connection do this on its thread.
  void ForAll(void (Connection::*work)()) ABSL_LOCKS_EXCLUDED(mu_);
  // False if connections are left.
  bool WaitUntilClosed(absl::Duration patience) ABSL_LOCKS_EXCLUDED(mu_);
  bool HasNone() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return connections_.empty(); }

  const HttpServerOptions options_;
  const std::unique_ptr<OpenAiService> service_;
  std::unique_ptr<transport::ConnectionAcceptor> acceptor_;
  std::unique_ptr<TlsContext> tls_;  // null without TLS; used by the thread only
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<Connection*, std::weak_ptr<Connection>> connections_ ABSL_GUARDED_BY(mu_);
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  std::thread thread_;
};

}  // namespace varserve::http
