// GET /metrics over HTTP, for Prometheus. One thread that never waits for a peer: it polls at most
// kMaxConnections connections, reads one small request from each, and closes it after the reply or after
// kPatience, whichever comes first. When a connection comes and all places are taken the oldest one goes. So
// idle peers, requests that never end and readers that never read cost bounded memory and keep nobody from
// being answered.
//
// Why not a library's server: civetweb, which prometheus-cpp brings, gives every connection a thread;
// libmicrohttpd and libevent poll, but bound the time between two bytes only, and refuse the newest
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
  static constexpr absl::Duration kPatience = absl::Seconds(10);  // as much as Prometheus has by default
  static constexpr int kMaxRequestBytes = 8192;

  // A file descriptor, closed at the end.
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
  // Makes the text of the page; called on the server's thread.
  using Page = std::function<std::string()>;

  // Listens on `listen`: "host:port" or "[IPv6]:port"; port 0 picks a free one. What `page` uses must outlive
  // the server. INVALID_ARGUMENT or UNAVAILABLE, naming the flag.
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
  using Connections = std::list<Connection>;  // the oldest first

  MetricsServer(Socket listener, Socket stop, int port, Page page, absl::Duration patience);

  // The server's thread only.
  void Run();
  bool Accept(absl::Time now);  // false: out of file descriptors
  // Goes on with a connection as far as its peer lets it; false when it is done with.
  bool Advance(Connection& connection, Text& page) const;
  Text Reply(const std::string& request, Text& page) const;

  const Socket listener_;
  const Socket stop_;  // an eventfd: readable once the thread is to end
  const int port_;
  const Page page_;
  const absl::Duration patience_;
  const MonotonicClock clock_;
  Connections connections_;  // the server's thread only
  std::thread thread_;
};

}  // namespace varserve::telemetry
