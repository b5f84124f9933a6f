// GET /metrics over HTTP, for Prometheus. One thread that never waits for a peer: it polls at most
// kMaxConnections connections, reads one small request from each, and closes it after the reply or after
// kPatience, whichever comes first. If all connections are in use, a new one replaces the oldest. So idle
// peers, endless requests and readers that never read use bounded memory and do not keep anyone from being
// answered.
//
// Why not a library's server: civetweb, which prometheus-cpp brings, uses one thread per connection;
// libmicrohttpd and libevent poll, but limit only the time between two bytes, and reject the newest
// connection when they are full. Thread-safe.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"

namespace varserve::telemetry {

class MetricsServer {
 public:
  static constexpr int kMaxConnections = 128;
  static constexpr absl::Duration kPatience = absl::Seconds(10);  // Prometheus's default
  static constexpr int kMaxRequestBytes = 8192;

  // A file descriptor, closed by the destructor.
  class Socket {
   public:
    explicit Socket(int fd) : fd_(fd) {}
    Socket(Socket&& other) noexcept;
    ~Socket();
    int fd() const { return fd_; }

   private:
    int fd_;
  };

  using Text = std::shared_ptr<const std::string>;
  // Makes the page's text; called on the server's thread.
  using Page = std::function<std::string()>;

  // Listens on `listen`: "host:port" or "[IPv6]:port"; port 0 picks a free one. Everything that `page` uses
  // must outlive the server. INVALID_ARGUMENT or UNAVAILABLE, naming the flag.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen, Page page,
                                                              absl::Duration patience = kPatience);
  ~MetricsServer();

  int port() const { return port_; }

 private:
  struct Connection {
    Socket socket;
    absl::Time end;
    std::string request;
    Text reply;       // null until the request is complete
    size_t sent = 0;  // bytes of the reply
  };
  using Connections = std::list<Connection>;  // oldest first

  MetricsServer(Socket listener, Socket stop, int port, Page page, absl::Duration patience);

  // Called only on the server's thread.
  void Run();
  bool Accept(absl::Time now);  // false if there are no file descriptors left
  // Reads or writes as far as the peer allows; false when the connection is finished.
  bool Advance(Connection& connection, Text& page) const;
  Text Reply(const std::string& request, Text& page) const;

  const Socket listener_;
  const Socket stop_;  // an eventfd, readable once the thread should end
  const int port_;
  const Page page_;
  const absl::Duration patience_;
  const MonotonicClock clock_;
  Connections connections_;  // used only on the server's thread
  std::thread thread_;
};

}  // namespace varserve::telemetry
