// Log lines with fields: text for people, or one JSON object per line for machines. A separate thread writes
// lines to standard error; callers never wait for it. While standard error is blocked, the newest
// kQueuedLines lines are kept, and dropped ones are counted. Thread-safe.
#pragma once

#include <spdlog/async_logger.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/telemetry/line_limit.h"
#include "server/telemetry/log_sink.h"

namespace varserve::telemetry {

struct LogField {
  absl::string_view name;
  std::variant<std::string, int64_t, double> value;  // strings are cut to kMaxText bytes
};
using LogFields = std::vector<LogField>;

class Logger {
 public:
  static constexpr int kQueuedLines = 2048;
  static constexpr size_t kMaxText = 1024;
  // Limit on the lines of one status code or library: callers can cause any number of failing calls.
  static constexpr int kLimit = 50;
  static constexpr absl::Duration kWindow = absl::Seconds(10);

  enum class Format { kText, kJson };
  // format: "text" or "json"; level: "info", "warning", "error".
  static absl::StatusOr<std::unique_ptr<Logger>> Create(absl::string_view format, absl::string_view level,
                                                        int fd = STDERR_FILENO);
  // Waits until all lines are written, forever if they cannot be; see Flush.
  ~Logger();

  void Info(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::info, message, fields);
  }
  void Warning(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::warn, message, fields);
  }
  void Error(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::err, message, fields);
  }

  // Logs a call that has ended. If it failed, at most kLimit lines of each code are written per kWindow, then
  // one line reports how many more there were.
  void Call(const absl::Status& status, const LogFields& fields) ABSL_LOCKS_EXCLUDED(mu_);
  // A library's log line, limited in the same way.
  void Library(absl::string_view library, absl::string_view text) ABSL_LOCKS_EXCLUDED(mu_);
  // Logs what was left out. Call about once a second.
  void SumUp() ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until all lines so far are written, at most `patience`; false if they are not. A process that must
  // end although nobody reads its standard error then calls _Exit.
  bool Flush(absl::Duration patience);
  // Lines that were dropped because standard error was blocked or gone.
  int64_t dropped() const;

  // A line without its time and level.
  static std::string Payload(Format format, absl::string_view message, const LogFields& fields);

 private:
  Logger(Format format, spdlog::level::level_enum level, int fd);
  void Write(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields);
  void Limited(spdlog::level::level_enum level, absl::string_view kind, absl::string_view message,
               const LogFields& fields) ABSL_LOCKS_EXCLUDED(mu_);
  void TellLeftOut(const std::vector<LineLimit::LeftOut>& left_out);

  const Format format_;
  const MonotonicClock clock_;
  std::shared_ptr<spdlog::details::thread_pool> queue_;  // null only during destruction
  const std::shared_ptr<LogSink> sink_;
  const std::shared_ptr<spdlog::async_logger> logger_;
  std::atomic<int64_t> posted_ = 0;  // lines
  absl::Mutex mu_;
  LineLimit limit_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::telemetry
