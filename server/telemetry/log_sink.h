// Where log lines end: a file descriptor, written by the thread that takes them out of spdlog's queue. That
// thread waits as long as the reader of a pipe lets it; nobody else does. Where lines were dropped before
// one, a line in their place says how many. One thread writes; the counts are thread-safe.
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
  // `overrun`: how many lines the queue has dropped so far. `payload_of_loss`: what to say of so many.
  LogSink(int fd, std::function<int64_t()> overrun, std::function<std::string(int64_t)> payload_of_loss);

  // Lines taken out of the queue and done with, and those of them that could not be written.
  int64_t handled() const { return handled_; }
  int64_t failed() const { return failed_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  // False: nobody can read it any more.
  bool Write(const spdlog::details::log_msg& message);

  const int fd_;
  const std::function<int64_t()> overrun_;
  const std::function<std::string(int64_t)> payload_of_loss_;
  int64_t told_ = 0;  // of the lines lost
  std::atomic<int64_t> handled_ = 0;
  std::atomic<int64_t> failed_ = 0;
};

}  // namespace varserve::telemetry
