#include "server/transport/connection_acceptor.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/socket_address.h"
#include "server/base/status_macros.h"
#include "server/transport/peer.h"

namespace varserve::transport {
namespace {

constexpr int kOtherFiles = 256;         // the process's files other than connections
constexpr int kRetryMilliseconds = 100;  // before another attempt to accept a connection
constexpr int kUserTimeoutMilliseconds = 20'000;

// Raises the limit on open files as far as possible. Returns how many of `wanted` connections it has room
// for.
int RaiseFileLimit(int wanted, int other_files) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t needed = static_cast<rlim_t>(wanted) + other_files;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  return static_cast<int>(std::max<int64_t>(1, static_cast<int64_t>(limit.rlim_cur) - other_files));
}

absl::Status CannotListen(const std::string& address, absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", why));
}

// A listening socket, or an error.
absl::StatusOr<int> ListenAt(const SocketAddress& address, const std::string& name) {
  const int fd = BindSocket(address);
  if (fd >= 0 && address.storage.ss_family != AF_UNIX) {
    // Accepted sockets inherit these options. A connection ends if its peer does not acknowledge data.
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMilliseconds,
               sizeof(kUserTimeoutMilliseconds));
  }
  if (fd < 0 || listen(fd, SOMAXCONN) != 0) {
    absl::Status status = CannotListen(
        name, absl::StrCat(std::strerror(errno), errno == EADDRINUSE ? "; is the port taken?" : ""));
    if (fd >= 0) close(fd);
    return status;
  }
  return fd;
}

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

void SetPort(sockaddr_storage& address, int port) {
  if (address.ss_family == AF_INET)
    reinterpret_cast<sockaddr_in&>(address).sin_port = htons(static_cast<uint16_t>(port));
  if (address.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(static_cast<uint16_t>(port));
}

// All addresses of a host. 0.0.0.0 and [::] mean every address of both families, if IPv6 is available.
absl::StatusOr<std::vector<SocketAddress>> AddressesOf(const std::string& address) {
  absl::string_view host = address;
  const size_t colon = host.rfind(':');
  if (colon == host.npos) return CannotListen(address, "it is not host:port");
  const std::string port(host.substr(colon + 1));
  if (int number = 0; !absl::SimpleAtoi(port, &number) || number < 0 || number > 65535)
    return CannotListen(address, "its port is not a number of 0 to 65535");
  host = host.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  const bool any = host.empty() || host == "0.0.0.0" || host == "::";
  std::vector<SocketAddress> addresses;
  for (const std::string& name :
       any ? std::vector<std::string>{"::", "0.0.0.0"} : std::vector<std::string>{std::string(host)}) {
    const absl::StatusOr<std::vector<SocketAddress>> resolved = Resolve(name, port);
    if (!resolved.ok()) return CannotListen(address, resolved.status().message());
    addresses.insert(addresses.end(), resolved->begin(), resolved->end());
  }
  return addresses;
}

absl::StatusOr<bool> SomebodyListens(const SocketAddress& address) {
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "opening a socket");
  const bool connected = connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0;
  close(fd);
  return connected;
}

// Whether the file number still refers to the same socket.
bool IsSameSocket(int socket, ino_t inode) {
  struct stat info {};
  return fstat(socket, &info) == 0 && S_ISSOCK(info.st_mode) && info.st_ino == inode;
}

std::optional<tcp_info> TcpInfo(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return info;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Listen(absl::string_view flag,
                                                                               const std::string& address,
                                                                               int max_connections,
                                                                               int other_files) {
  auto acceptor = absl::WrapUnique(new ConnectionAcceptor());
  acceptor->max_connections_ = RaiseFileLimit(max_connections, kOtherFiles + other_files);
  acceptor->stop_event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const absl::Status status = acceptor->ListenOn(address);
  if (!status.ok()) return absl::Status(status.code(), absl::StrCat("--", flag, ": ", status.message()));
  return acceptor;
}

absl::Status ConnectionAcceptor::ListenOn(const std::string& address) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:")) {
    SocketAddress unix_address{.size = sizeof(sockaddr_un)};
    auto& un = reinterpret_cast<sockaddr_un&>(unix_address.storage);
    un.sun_family = AF_UNIX;
    if (path.empty()) return CannotListen(address, "it has no path");
    if (path.size() >= sizeof(un.sun_path)) return CannotListen(address, "its path is too long");
    std::copy(path.begin(), path.end(), un.sun_path);
    struct stat info {};
    if (stat(un.sun_path, &info) == 0) {
      if (!S_ISSOCK(info.st_mode)) return CannotListen(address, "the file is there and is not a socket");
      const absl::StatusOr<bool> taken = SomebodyListens(unix_address);
      if (!taken.ok()) return CannotListen(address, taken.status().message());
      if (*taken) return CannotListen(address, "another process listens there");
      unlink(un.sun_path);  // left by a process that has ended
    }
    ASSIGN_OR_RETURN(const int listener, ListenAt(unix_address, address));
    path_ = un.sun_path;
    if (stat(un.sun_path, &info) == 0) path_inode_ = info.st_ino;
    listeners_.push_back(listener);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::vector<SocketAddress> resolved, AddressesOf(address));
  absl::Status problem;
  for (SocketAddress& one : resolved) {
    // A dual-stack socket already has the port.
    const bool both =
        !listeners_.empty() && resolved.front().storage.ss_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<sockaddr_in6&>(resolved.front().storage).sin6_addr);
    if (both) break;
    if (port_ != 0) SetPort(one.storage, port_);
    absl::StatusOr<int> listener = ListenAt(one, address);
    if (!listener.ok()) {
      problem = listener.status();
      continue;
    }
    listeners_.push_back(*listener);
    local_ = local_ && IsLoopback(one.storage);
    port_ = PortOf(*listener);
  }
  return listeners_.empty() ? problem : absl::OkStatus();
}

ConnectionAcceptor::~ConnectionAcceptor() {
  Stop();
  close(stop_event_);
}

void ConnectionAcceptor::Start(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  const uint64_t one = 1;
  (void)!write(stop_event_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  for (const int listener : std::exchange(listeners_, {})) close(listener);
  // Another process may have put its own socket there.
  struct stat info {};
  if (!path_.empty() && stat(path_.c_str(), &info) == 0 && info.st_ino == path_inode_) unlink(path_.c_str());
  path_.clear();
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> files = {{.fd = stop_event_, .events = POLLIN}};
  for (const int listener : listeners_) files.push_back({.fd = listener, .events = POLLIN});
  while (true) {
    if (poll(files.data(), files.size(), -1) < 0 && errno != EINTR) return;
    if (files.front().revents != 0) return;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents == 0 || AcceptOne(files[i].fd)) continue;
      // Out of files or memory: the connection stays in the backlog, and is not tried again immediately.
      if (poll(files.data(), 1, kRetryMilliseconds) > 0) return;
    }
  }
}

bool ConnectionAcceptor::AcceptOne(int listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const int socket =
      accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
  struct stat info {};
  fstat(socket, &info);
  std::string peer = PeerOf(address);
  std::string host = AddressOf(peer);
  Add(std::move(peer), {.socket = socket, .inode = info.st_ino, .address = std::move(host)});
  on_connection_(listener, socket);
  return true;
}

void ConnectionAcceptor::Add(std::string peer, Connection connection) {
  absl::MutexLock lock(&mu_);
  connection.number = ++accepted_;
  if (peer.empty()) peer = absl::StrCat("unix:#", connection.number);  // it has no name
  connections_[std::move(peer)] = std::move(connection);
  if (connections_.size() <= std::min<size_t>(look_again_at_, max_connections_)) return;
  ForgetClosed();
  look_again_at_ = std::max<size_t>(64, 2 * connections_.size());
  if (connections_.size() > static_cast<size_t>(max_connections_)) CloseOne();
}

void ConnectionAcceptor::ForgetClosed() {
  absl::erase_if(connections_,
                 [](const auto& one) { return !IsSameSocket(one.second.socket, one.second.inode); });
}

void ConnectionAcceptor::CloseOne() {
  absl::flat_hash_map<absl::string_view, int> of_address;
  int most = 0;
  for (const auto& [peer, connection] : connections_) most = std::max(most, ++of_address[connection.address]);
  auto victim = connections_.end();
  std::pair<int64_t, uint64_t> longest;
  for (auto it = connections_.begin(); it != connections_.end(); ++it) {
    const uint64_t number = it->second.number;
    if (of_address[it->second.address] < most || number == accepted_) continue;
    const std::optional<tcp_info> info = TcpInfo(it->second.socket);
    // Milliseconds in steps of several; of equal values the oldest connection goes.
    const std::pair<int64_t, uint64_t> silent(info.has_value() ? info->tcpi_last_data_recv : 0, ~number);
    if (victim != connections_.end() && silent <= longest) continue;
    longest = silent;
    victim = it;
  }
  if (victim == connections_.end()) return;  // the newest is the only one of its address
  // The transport sees the end of the connection and closes it. The duplicate cannot change any more, so
  // check whose socket it is afterwards.
  if (const int own = dup(victim->second.socket); own >= 0) {
    if (IsSameSocket(own, victim->second.inode)) shutdown(own, SHUT_RDWR);
    close(own);
  }
  connections_.erase(victim);
}

std::optional<int64_t> ConnectionAcceptor::BytesReceived(absl::string_view peer) const {
  absl::MutexLock lock(&mu_);
  const auto it = connections_.find(peer);
  if (it == connections_.end() || !IsSameSocket(it->second.socket, it->second.inode)) return std::nullopt;
  const std::optional<tcp_info> info = TcpInfo(it->second.socket);
  if (!info.has_value()) return std::nullopt;
  return static_cast<int64_t>(info->tcpi_bytes_received);
}

}  // namespace varserve::transport
