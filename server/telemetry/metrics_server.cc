#include "server/telemetry/metrics_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/socket_address.h"
#include "server/base/status_macros.h"

namespace varserve::telemetry {
namespace {

constexpr int kBacklog = 128;
// then existing connections have their turn
constexpr int kAcceptsPerRound = 32;
constexpr absl::Duration kNoDescriptors = absl::Milliseconds(100);  // before the next accept

absl::Status Invalid(const std::string& listen) {
  return absl::InvalidArgumentError(
      absl::StrCat("--metrics_listen: \"", listen, "\" is not host:port or [IPv6]:port"));
}

absl::Status CannotListen(const std::string& listen, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("--metrics_listen: cannot listen on ", listen, ": ", why));
}

absl::StatusOr<std::vector<SocketAddress>> AddressesOf(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == listen.npos) return Invalid(listen);
  absl::string_view host = absl::string_view(listen).substr(0, colon);
  const std::string port = listen.substr(colon + 1);
  int number = 0;
  if (!absl::SimpleAtoi(port, &number) || number < 0 || number > 65535) return Invalid(listen);
  if (absl::ConsumePrefix(&host, "[") != absl::ConsumeSuffix(&host, "]")) return Invalid(listen);
  absl::StatusOr<std::vector<SocketAddress>> addresses = Resolve(std::string(host), port);
  if (!addresses.ok()) return CannotListen(listen, addresses.status().message());
  return addresses;
}

// A listening socket, or an invalid one with errno set.
MetricsServer::Socket Listen(const SocketAddress& address) {
  MetricsServer::Socket socket(BindSocket(address));
  const bool listens = socket.fd() >= 0 && listen(socket.fd(), kBacklog) == 0;
  return listens ? std::move(socket) : MetricsServer::Socket(-1);
}

MetricsServer::Text HttpReply(absl::string_view status, absl::string_view body) {
  return std::make_shared<const std::string>(
      absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
                   "Content-Length: ", body.size(), "\r\nConnection: close\r\n\r\n", body));
}

// In milliseconds; -1: forever.
int PollTimeout(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return -1;
  return static_cast<int>(absl::ToInt64Milliseconds(std::max(duration, absl::ZeroDuration()))) + 1;
}

bool IsComplete(absl::string_view request) {
  return absl::StrContains(request, "\r\n\r\n") || absl::StrContains(request, "\n\n");
}

}  // namespace

MetricsServer::Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

MetricsServer::Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen, Page page,
                                                                    absl::Duration patience) {
  ASSIGN_OR_RETURN(const std::vector<SocketAddress> addresses, AddressesOf(listen));
  for (const SocketAddress& address : addresses) {
    Socket listener = Listen(address);
    if (listener.fd() < 0) continue;
    Socket stop(eventfd(0, EFD_CLOEXEC));
    if (stop.fd() < 0) break;
    const int port = PortOf(listener.fd());
    return absl::WrapUnique(
        new MetricsServer(std::move(listener), std::move(stop), port, std::move(page), patience));
  }
  return CannotListen(listen,
                      absl::StrCat(std::strerror(errno), errno == EADDRINUSE ? "; is the port taken?" : ""));
}

MetricsServer::MetricsServer(Socket listener, Socket stop, int port, Page page, absl::Duration patience)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      port_(port),
      page_(std::move(page)),
      patience_(patience) {
  thread_ = std::thread([this] { Run(); });
}

MetricsServer::~MetricsServer() {
  eventfd_write(stop_.fd(), 1);
  thread_.join();
}

void MetricsServer::Run() {
  absl::Time accept_from = absl::InfinitePast();
  while (true) {
    const absl::Time before = clock_.Now();
    const bool accepting = before >= accept_from;
    absl::Time wake = accepting ? absl::InfiniteFuture() : accept_from;
    std::vector<pollfd> polled = {{.fd = stop_.fd(), .events = POLLIN, .revents = 0},
                                  {.fd = accepting ? listener_.fd() : -1, .events = POLLIN, .revents = 0}};
    for (const Connection& connection : connections_) {
      wake = std::min(wake, connection.end);
      const short events = connection.reply == nullptr ? POLLIN : POLLOUT;
      polled.push_back({.fd = connection.socket.fd(), .events = events, .revents = 0});
    }
    poll(polled.data(), polled.size(), PollTimeout(wake - before));

    if (polled[0].revents != 0) return;
    const absl::Time now = clock_.Now();
    Text page;  // made at most once per round, for all connections
    auto entry = polled.begin() + 2;
    for (auto connection = connections_.begin(); connection != connections_.end(); ++entry) {
      const bool goes_on = now < connection->end && (entry->revents == 0 || Advance(*connection, page));
      connection = goes_on ? std::next(connection) : connections_.erase(connection);
    }
    if (polled[1].revents != 0 && !Accept(now)) accept_from = now + kNoDescriptors;
  }
}

bool MetricsServer::Accept(absl::Time now) {
  for (int accepted = 0; accepted < kAcceptsPerRound;) {
    Socket socket(accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.fd() >= 0) {
      if (connections_.size() == kMaxConnections) connections_.pop_front();
      connections_.push_back(
          {.socket = std::move(socket), .end = now + patience_, .request = "", .reply = nullptr});
      ++accepted;
      continue;
    }
    // Without a free descriptor accept4 always fails like this, even if no connection is waiting.
    const bool out_of_descriptors = errno == EMFILE || errno == ENFILE;
    if (!out_of_descriptors || accepted > 0) return true;
    if (connections_.empty()) return false;
    connections_.pop_front();
  }
  return true;
}

bool MetricsServer::Advance(Connection& c, Text& page) const {
  if (c.reply == nullptr) {
    char buffer[4096];
    const ssize_t size = recv(c.socket.fd(), buffer, sizeof(buffer), 0);
    if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
    c.request.append(buffer, static_cast<size_t>(size));
    if (!IsComplete(c.request) && c.request.size() < kMaxRequestBytes) return true;
    c.reply = Reply(c.request, page);
  }
  const ssize_t size = send(c.socket.fd(), c.reply->data() + c.sent, c.reply->size() - c.sent, MSG_NOSIGNAL);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  c.sent += static_cast<size_t>(size);
  return c.sent < c.reply->size();
}

MetricsServer::Text MetricsServer::Reply(const std::string& request, Text& page) const {
  if (!IsComplete(request))
    return HttpReply("431 Request Header Fields Too Large", "the request is too long\n");
  const std::vector<std::string> words =
      absl::StrSplit(request.substr(0, request.find_first_of("\r\n")), ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) return HttpReply("400 Bad Request", "");
  if (words[0] != "GET") return HttpReply("405 Method Not Allowed\r\nAllow: GET", "only GET\n");
  if (words[1].substr(0, words[1].find('?')) != "/metrics")
    return HttpReply("404 Not Found", "see /metrics\n");
  if (page == nullptr) page = HttpReply("200 OK", page_());
  return page;
}

}  // namespace varserve::telemetry
