// Log lines with fields: text for people, or one JSON object a line for machines. Thread-safe.
#pragma once

#include <spdlog/spdlog.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve::telemetry {

struct LogField {
  absl::string_view name;
  std::variant<std::string, int64_t, double> value;
};
using LogFields = std::vector<LogField>;

class Logger {
 public:
  enum class Format { kText, kJson };
  // format: "text" or "json"; level: "debug", "info", "warning", "error". Writes to standard error.
  static absl::StatusOr<std::unique_ptr<Logger>> Create(absl::string_view format, absl::string_view level);

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

  // The part of a line behind time and level.
  static std::string Payload(Format format, absl::string_view message, const LogFields& fields);

 private:
  Logger(Format format, std::shared_ptr<spdlog::logger> logger)
      : format_(format), logger_(std::move(logger)) {}
  void Write(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields);

  const Format format_;
  const std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace varserve::telemetry
