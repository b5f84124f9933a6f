#include "server/http/http_server.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/transport/peer.h"

namespace varserve::http {
namespace {

namespace asio = boost::asio;

// For connections that are closed to be gone.
constexpr absl::Duration kCloseGrace = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpServerOptions& options,
                                                              std::unique_ptr<OpenAiService> service,
                                                              telemetry::Logger* logger) {
  auto result = absl::WrapUnique(new HttpServer(options, std::move(service)));
  if (!options.tls.empty()) {
    ASSIGN_OR_RETURN(result->tls_, TlsContext::Load(options.tls, logger));
  }
  ASSIGN_OR_RETURN(result->acceptor_,
                   transport::ConnectionAcceptor::Listen("http_listen", options.listen,
                                                         options.max_connections, options.other_files));
  transport::ConnectionAcceptor& acceptor = *result->acceptor_;
  if (result->service_->needs_token() && options.tls.empty() && !acceptor.local())
    logger->Warning(
        "bearer tokens travel in plain text over HTTP: set --tls_cert and --tls_key, or let --http_listen be "
        "on "
        "127.0.0.1");
  result->service_->open_calls().MeasureWith("http",
                                             [&acceptor](absl::string_view peer) -> std::optional<int64_t> {
                                               if (!absl::ConsumePrefix(&peer, "http:")) return std::nullopt;
                                               return acceptor.BytesReceived(peer);
                                             });
  result->thread_ = std::thread([server = result.get()] { server->context_.run(); });
  acceptor.Start([server = result.get()](int /*listener*/, int socket) {
    asio::post(server->context_, [server, socket] { server->Add(socket); });
  });
  return result;
}

HttpServer::~HttpServer() {
  if (thread_.joinable()) Shutdown(absl::ZeroDuration());
}

void HttpServer::Add(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size);
  std::string peer = transport::PeerOf(address);
  if (peer.empty()) peer = "unix:";
  ByteStream::Socket own(context_, asio::generic::stream_protocol(address.ss_family, SOCK_STREAM), socket);
  auto stream = tls_ == nullptr ? PlainStream(std::move(own)) : TlsStream(std::move(own), tls_->Current());
  const auto connection = std::make_shared<Connection>(
      std::move(stream), std::move(peer), options_.connection,
      [this](Connection& from, const RequestHead& head) { return service_->Begin(from, head); },
      [this](Connection* closed) { Remove(closed); });
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    connections_.emplace(connection.get(), connection);
  }
  connection->Start();
}

void HttpServer::Remove(Connection* connection) {
  absl::MutexLock lock(&mu_);
  connections_.erase(connection);
}

void HttpServer::ForAll(void (Connection::*work)()) {
  std::vector<std::shared_ptr<Connection>> connections;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [key, connection] : connections_) {
      if (auto alive = connection.lock()) connections.push_back(std::move(alive));
    }
  }
  for (const std::shared_ptr<Connection>& connection : connections)
    connection->Post([connection, work] { ((*connection).*work)(); });
}

bool HttpServer::WaitUntilClosed(absl::Duration patience) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &HttpServer::HasNone), patience);
}

void HttpServer::Shutdown(absl::Duration grace) {
  if (!thread_.joinable()) return;
  SetReady(false);
  acceptor_->Stop();
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  ForAll(&Connection::Shutdown);
  if (!WaitUntilClosed(grace)) {
    ForAll(&Connection::Break);
    if (!WaitUntilClosed(kCloseGrace)) context_.stop();
  }
  service_->open_calls().MeasureWith("http", nullptr);
  work_.reset();  // the thread ends when all calls have learnt that their connections are closed
  thread_.join();
}

}  // namespace varserve::http
