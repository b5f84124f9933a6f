// Writes log lines to a file descriptor, on the thread that takes them from spdlog's queue. Only this thread
// waits if a pipe's reader is slow. If lines were dropped before a line, a line in their place reports how
// many. One thread writes; the counts are thread-safe.
#pragma once

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"

namespace varserve::telemetry {

class LogSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  // `overrun` returns the number of lines the queue has dropped so far. `payload_of_loss` makes the line that
  // reports that many lost lines.
  LogSink(int fd, std::function<int64_t()> overrun, std::function<std::string(int64_t)> payload_of_loss);

  // Lines taken from the queue and processed, and how many of them could not be written.
  int64_t handled() const { return handled_; }
  int64_t failed() const { return failed_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  // False if nobody can read the descriptor any more.
  bool Write(const spdlog::details::log_msg& message);

  const int fd_;
  const std::function<int64_t()> overrun_;
  const std::function<std::string(int64_t)> payload_of_loss_;
  int64_t told_ = 0;  // lost lines reported so far
  std::atomic<int64_t> handled_ = 0;
  std::atomic<int64_t> failed_ = 0;
};

}  // namespace varserve::telemetry
