// A caller that speaks HTTP/2 by hand, to send what gRPC's clients never would: half a message, two, one that
// is larger than it may be. Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace varserve::testing {

// A message as gRPC frames it; `announced` may promise more bytes than follow.
std::string GrpcFrame(const std::string& message, std::optional<uint32_t> announced = std::nullopt);

class Http2Client {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // Connects to 127.0.0.1, to a Unix socket where there is a path.
  explicit Http2Client(int port, const std::string& unix_path = "");
  ~Http2Client();
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // Begins a call of a method like "/varserve.v1.VisionLanguage/Answer" and returns its stream.
  int Call(const std::string& path, const Headers& headers = {});
  // Sends bytes on a stream as long as the server takes them, waiting up to `patience` for it to take more.
  // Returns how many.
  size_t Send(int stream, std::string_view bytes, bool end = false,
              std::chrono::milliseconds patience = std::chrono::seconds(5));
  // The call's gRPC status; none if there is none within `patience` or the connection ends.
  std::optional<int> WaitForStatus(int stream, std::chrono::milliseconds patience = std::chrono::seconds(20));
  // Takes what the server has sent so far, waiting up to `patience` for something.
  void Receive(std::chrono::milliseconds patience = std::chrono::milliseconds(0));

  // All bytes of the call's answer so far, headers and messages.
  const std::string& received(int stream) { return streams_[stream].received; }
  // The server closed the connection, or announced that it will.
  bool closed() const { return closed_; }
  bool going_away() const { return going_away_; }

 private:
  struct Stream {
    int64_t window = 0;
    std::string received;
    std::optional<int> status;  // -1: reset
  };

  void Write(const std::string& bytes);
  void WriteFrame(int type, int flags, int stream, std::string_view payload);
  void OnFrame(int type, int flags, int stream, std::string_view payload);

  int fd_ = -1;
  int next_stream_ = 1;
  int64_t initial_window_ = 65535;
  int64_t window_ = 65535;
  size_t max_frame_ = 16384;
  std::string unparsed_;
  std::map<int, Stream> streams_;
  bool closed_ = false;
  bool going_away_ = false;
};

}  // namespace varserve::testing
