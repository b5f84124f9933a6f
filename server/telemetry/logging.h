// Log lines with fields: text for people, or one JSON object a line for machines. A line is handed to a
// thread that writes it to standard error; whoever logs never waits for that. While standard error is blocked
// the newest kQueuedLines lines are kept, and those dropped are counted. Thread-safe.
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
  std::variant<std::string, int64_t, double> value;  // of a string the first kMaxText bytes are written
};
using LogFields = std::vector<LogField>;

class Logger {
 public:
  static constexpr int kQueuedLines = 2048;
  static constexpr size_t kMaxText = 1024;
  // Lines of one code or origin, of calls that did not end well. Callers cause as many as they like.
  static constexpr int kLimit = 50;
  static constexpr absl::Duration kWindow = absl::Seconds(10);

  enum class Format { kText, kJson };
  // format: "text" or "json"; level: "debug", "info", "warning", "error".
  static absl::StatusOr<std::unique_ptr<Logger>> Create(absl::string_view format, absl::string_view level,
                                                        int fd = STDERR_FILENO);
  // Waits until all lines are written; where they cannot be, for ever. See Flush.
  ~Logger();

  void Debug(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::debug, message, fields);
  }
  void Info(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::info, message, fields);
  }
  void Warning(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::warn, message, fields);
  }
  void Error(absl::string_view message, const LogFields& fields = {}) {
    Write(spdlog::level::err, message, fields);
  }

  // The line of a call that has ended. Of those that did not end well kLimit lines of each code are written
  // in kWindow, then one line that says how many more there were.
  void Call(const absl::Status& status, const LogFields& fields) ABSL_LOCKS_EXCLUDED(mu_);
  // A line of a library's, limited in the same way.
  void Library(absl::string_view library, absl::string_view text) ABSL_LOCKS_EXCLUDED(mu_);
  // Says what was left out. To be called about once a second.
  void SumUp() ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the lines so far are written, at most so long; false if they are not. A process that has to
  // end although nobody reads its standard error ends with _Exit then.
  bool Flush(absl::Duration patience);
  // Lines that were dropped because standard error was blocked or gone.
  int64_t dropped() const;

  // The part of a line after time and level.
  static std::string Payload(Format format, absl::string_view message, const LogFields& fields);

 private:
  Logger(Format format, spdlog::level::level_enum level, int fd);
  void Write(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields);
  void Limited(spdlog::level::level_enum level, absl::string_view kind, absl::string_view message,
               const LogFields& fields) ABSL_LOCKS_EXCLUDED(mu_);
  void TellLeftOut(const std::vector<LineLimit::LeftOut>& left_out);

  const Format format_;
  const MonotonicClock clock_;
  std::shared_ptr<spdlog::details::thread_pool> queue_;  // set to null only at the end
  const std::shared_ptr<LogSink> sink_;
  const std::shared_ptr<spdlog::async_logger> logger_;
  std::atomic<int64_t> posted_ = 0;  // lines
  absl::Mutex mu_;
  LineLimit limit_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::telemetry
