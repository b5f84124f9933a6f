#include "tests/testing/http2_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace varserve::testing {
namespace {

using Clock = std::chrono::steady_clock;

enum Frame { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7, kWindowUpdate = 8 };
constexpr int kEndStream = 1;
constexpr int kEndHeaders = 4;
constexpr int kAck = 1;

uint32_t Number(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

std::string Bytes(uint32_t value, size_t size) {
  std::string bytes;
  for (size_t i = size; i-- > 0;) bytes.push_back(static_cast<char>(value >> (8 * i) & 0xff));
  return bytes;
}

// HPACK's literal of up to 126 bytes.
std::string Literal(const std::string& text) { return static_cast<char>(text.size()) + text; }

}  // namespace

std::string GrpcFrame(const std::string& message, std::optional<uint32_t> announced) {
  return std::string(1, '\0') + Bytes(announced.value_or(static_cast<uint32_t>(message.size())), 4) + message;
}

Http2Client::Http2Client(int port, const std::string& unix_path) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_un path{.sun_family = AF_UNIX};
  unix_path.copy(path.sun_path, sizeof(path.sun_path) - 1);
  fd_ = socket(unix_path.empty() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  closed_ = (unix_path.empty() ? connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address))
                               : connect(fd_, reinterpret_cast<sockaddr*>(&path), sizeof(path))) != 0;
  Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  WriteFrame(kSettings, 0, 0, "");
}

Http2Client::~Http2Client() { close(fd_); }

void Http2Client::Write(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size() && !closed_;) {
    const ssize_t n = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    closed_ = n <= 0;
    sent += n > 0 ? static_cast<size_t>(n) : 0;
  }
}

void Http2Client::WriteFrame(int type, int flags, int stream, std::string_view payload) {
  Write(Bytes(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) + static_cast<char>(flags) +
        Bytes(static_cast<uint32_t>(stream), 4) + std::string(payload));
}

int Http2Client::Call(const std::string& path, const Headers& headers) {
  Receive();
  Headers all = {{":method", "POST"},    {":scheme", "http"}, {":path", path},
                 {":authority", "test"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  all.insert(all.end(), headers.begin(), headers.end());
  std::string block;
  for (const auto& [name, value] : all) block += '\x10' + Literal(name) + Literal(value);
  const int stream = next_stream_;
  next_stream_ += 2;
  streams_[stream].window = initial_window_;
  WriteFrame(kHeaders, kEndHeaders, stream, block);
  return stream;
}

size_t Http2Client::Send(int stream, std::string_view bytes, bool end, std::chrono::milliseconds patience) {
  size_t sent = 0;
  Clock::time_point give_up = Clock::now() + patience;
  Stream& s = streams_[stream];
  while (sent < bytes.size() && !closed_ && !s.status.has_value() && Clock::now() < give_up) {
    Receive();
    const int64_t room = std::min({s.window, window_, static_cast<int64_t>(max_frame_)});
    if (room <= 0) {
      Receive(std::chrono::milliseconds(10));
      continue;
    }
    const std::string_view piece = bytes.substr(sent, static_cast<size_t>(room));
    WriteFrame(kData, 0, stream, piece);
    s.window -= static_cast<int64_t>(piece.size());
    window_ -= static_cast<int64_t>(piece.size());
    sent += piece.size();
    give_up = Clock::now() + patience;
  }
  if (end && sent == bytes.size()) WriteFrame(kData, kEndStream, stream, "");
  return sent;
}

std::optional<int> Http2Client::WaitForStatus(int stream, std::chrono::milliseconds patience) {
  const Clock::time_point give_up = Clock::now() + patience;
  while (!streams_[stream].status.has_value() && !closed_ && Clock::now() < give_up)
    Receive(std::chrono::milliseconds(10));
  return streams_[stream].status;
}

void Http2Client::Receive(std::chrono::milliseconds patience) {
  pollfd file{.fd = fd_, .events = POLLIN};
  std::array<char, 1 << 16> buffer;
  while (!closed_ && poll(&file, 1, static_cast<int>(patience.count())) > 0) {
    patience = std::chrono::milliseconds(0);
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    closed_ = n <= 0;
    if (closed_) return;
    unparsed_.append(buffer.data(), static_cast<size_t>(n));
    while (unparsed_.size() >= 9 && unparsed_.size() >= 9 + Number(unparsed_, 0, 3)) {
      const std::string frame = unparsed_.substr(0, 9 + Number(unparsed_, 0, 3));
      unparsed_.erase(0, frame.size());
      OnFrame(frame[3], frame[4], static_cast<int>(Number(frame, 5, 4)), std::string_view(frame).substr(9));
    }
  }
}

void Http2Client::OnFrame(int type, int flags, int stream, std::string_view payload) {
  switch (type) {
    case kData:
      if (!payload.empty()) {
        const std::string size = Bytes(static_cast<uint32_t>(payload.size()), 4);
        WriteFrame(kWindowUpdate, 0, 0, size);
        if ((flags & kEndStream) == 0) WriteFrame(kWindowUpdate, 0, stream, size);
      }
      [[fallthrough]];
    case kHeaders: {
      Stream& s = streams_[stream];
      s.received += payload;
      // gRPC sends this name as it is the first time a connection has it, once a stream.
      const size_t at = payload.find("grpc-status");
      if (type == kHeaders && at != payload.npos) s.status = std::atoi(payload.data() + at + 12);
      break;
    }
    case kReset:
      if (auto& status = streams_[stream].status; !status.has_value()) status = -1;
      break;
    case kSettings:
      if ((flags & kAck) != 0) break;
      for (size_t i = 0; i + 6 <= payload.size(); i += 6) {
        const uint32_t value = Number(payload, i + 2, 4);
        if (Number(payload, i, 2) == 4) {
          for (auto& [id, s] : streams_) s.window += value - initial_window_;
          initial_window_ = value;
        } else if (Number(payload, i, 2) == 5) {
          max_frame_ = std::min<size_t>(value, 1 << 17);
        }
      }
      WriteFrame(kSettings, kAck, 0, "");
      break;
    case kPing:
      if ((flags & kAck) == 0) WriteFrame(kPing, kAck, 0, payload);
      break;
    case kGoAway:
      going_away_ = true;
      break;
    case kWindowUpdate:
      (stream == 0 ? window_ : streams_[stream].window) += Number(payload, 0, 4);
      break;
    default:
      break;
  }
}

}  // namespace varserve::testing
