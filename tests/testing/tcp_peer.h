// A bare TCP connection to a port of this machine, for peers that behave badly. Thread-compatible.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace varserve::testing {

class TcpPeer {
 public:
  TcpPeer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  explicit TcpPeer(int port) : TcpPeer() { Connect(port); }
  ~TcpPeer() { close(fd_); }
  TcpPeer(const TcpPeer&) = delete;
  TcpPeer& operator=(const TcpPeer&) = delete;

  bool Connect(int port) const {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  // To be called before Connect: how much is taken in without being read.
  void SetReceiveBuffer(int bytes) const { setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); }
  // False once the other side has gone.
  bool Send(absl::string_view text) const {
    return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // Whether something has come, or the other side has closed, within `patience`.
  bool WaitForBytes(absl::Duration patience = absl::Seconds(60)) const {
    pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) == 1;
  }
  // Up to so many bytes of what comes next; empty once the other side has closed.
  std::string Read(size_t most) const {
    std::string text(most, '\0');
    const ssize_t size = recv(fd_, text.data(), most, 0);
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return text;
  }
  // All that comes until the other side closes; not set if it does not within `patience` of silence.
  std::optional<std::string> ReadToEnd(absl::Duration patience = absl::Seconds(60)) const {
    std::string text;
    while (WaitForBytes(patience)) {
      const std::string piece = Read(1 << 16);
      if (piece.empty()) return text;
      text += piece;
    }
    return std::nullopt;
  }

 private:
  const int fd_;
};

}  // namespace varserve::testing
