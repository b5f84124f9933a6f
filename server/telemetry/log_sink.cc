#include "server/telemetry/log_sink.h"

#include <poll.h>
#include <spdlog/formatter.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace varserve::telemetry {

LogSink::LogSink(int fd, std::function<int64_t()> overrun,
                 std::function<std::string(int64_t)> payload_of_loss)
    : fd_(fd), overrun_(std::move(overrun)), payload_of_loss_(std::move(payload_of_loss)) {}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  const int64_t lost = overrun_() + failed_;
  if (lost > told_) {
    const std::string payload = payload_of_loss_(lost - told_);
    spdlog::details::log_msg loss = message;  // keeps the time of the line
    loss.level = spdlog::level::warn;
    loss.payload = payload;
    if (Write(loss)) told_ = lost;
  }
  if (!Write(message)) ++failed_;
  ++handled_;
}

bool LogSink::Write(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  for (size_t done = 0; done < line.size();) {
    const ssize_t size = write(fd_, line.data() + done, line.size() - done);
    if (size >= 0) {
      done += static_cast<size_t>(size);
    } else if (errno == EAGAIN) {  // another process made the shared descriptor non-blocking
      pollfd writable{.fd = fd_, .events = POLLOUT, .revents = 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace varserve::telemetry
