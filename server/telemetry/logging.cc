#include "server/telemetry/logging.h"

#include <spdlog/async.h>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varserve::telemetry {
namespace {

// A string as JSON; invalid UTF-8 becomes U+FFFD.
std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ValueText(const LogField& field, Logger::Format format) {
  if (const auto* whole = std::get_if<std::string>(&field.value)) {
    const std::string text = whole->size() <= Logger::kMaxText
                                 ? *whole
                                 : absl::StrCat(absl::string_view(*whole).substr(0, Logger::kMaxText), "..");
    const bool plain = format == Logger::Format::kText && !text.empty() &&
                       text.find_first_of(" \"\n\t=") == std::string::npos;
    return plain ? text : Quoted(text);
  }
  if (const auto* integer = std::get_if<int64_t>(&field.value)) return absl::StrCat(*integer);
  return absl::StrCat(std::get<double>(field.value));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Logger>> Logger::Create(absl::string_view format, absl::string_view level,
                                                       int fd) {
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(absl::StrCat("--log_format: \"", format, "\" is not text or json"));
  }
  const spdlog::level::level_enum threshold = spdlog::level::from_str(std::string(level));
  if (threshold == spdlog::level::off || threshold < spdlog::level::info) {
    return absl::InvalidArgumentError(
        absl::StrCat("--log_level: \"", level, "\" is not info, warning or error"));
  }
  return std::unique_ptr<Logger>(new Logger(format == "json" ? Format::kJson : Format::kText, threshold, fd));
}

Logger::Logger(Format format, spdlog::level::level_enum level, int fd)
    : format_(format),
      queue_(std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1)),
      sink_(std::make_shared<LogSink>(
          fd, [queue = queue_.get()] { return static_cast<int64_t>(queue->overrun_counter()); },
          [format](int64_t lines) {
            return Payload(format, "log lines were dropped: standard error was blocked", {{"lines", lines}});
          })),
      logger_(std::make_shared<spdlog::async_logger>("varserve", sink_, queue_,
                                                     spdlog::async_overflow_policy::overrun_oldest)),
      limit_(kLimit, kWindow) {
  logger_->set_level(level);
  logger_->set_pattern(format == Format::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                               : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                       spdlog::pattern_time_type::utc);
}

Logger::~Logger() {
  std::vector<LineLimit::LeftOut> left_out;
  {
    absl::MutexLock lock(&mu_);
    left_out = limit_.EndWindows(absl::InfiniteFuture());
  }
  TellLeftOut(left_out);
  queue_.reset();  // ends its thread, which uses the other members
}

std::string Logger::Payload(Format format, absl::string_view message, const LogFields& fields) {
  std::string payload =
      format == Format::kJson ? absl::StrCat("\"message\":", Quoted(message)) : std::string(message);
  for (const LogField& field : fields) {
    if (format == Format::kJson) {
      absl::StrAppend(&payload, ",", Quoted(field.name), ":", ValueText(field, format));
    } else {
      absl::StrAppend(&payload, " ", field.name, "=", ValueText(field, format));
    }
  }
  return payload;
}

void Logger::Write(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields) {
  if (!logger_->should_log(level)) return;
  const std::string payload = Payload(format_, message, fields);
  ++posted_;
  logger_->log(level, spdlog::string_view_t(payload));
}

void Logger::Call(const absl::Status& status, const LogFields& fields) {
  if (status.ok()) return Info("request", fields);
  // A caller who names a picture that is gone sends it then.
  const bool ordinary = absl::IsCancelled(status) || absl::IsNotFound(status);
  const spdlog::level::level_enum level = ordinary                   ? spdlog::level::info
                                          : absl::IsInternal(status) ? spdlog::level::err
                                                                     : spdlog::level::warn;
  Limited(level, absl::StatusCodeToString(status.code()), "request", fields);
}

void Logger::Library(absl::string_view library, absl::string_view text) {
  Limited(spdlog::level::warn, library, library, {{"text", std::string(text)}});
}

void Logger::Limited(spdlog::level::level_enum level, absl::string_view kind, absl::string_view message,
                     const LogFields& fields) {
  if (!logger_->should_log(level)) return;
  const absl::Time now = clock_.Now();
  std::vector<LineLimit::LeftOut> left_out;
  bool admitted = false;
  {
    absl::MutexLock lock(&mu_);
    left_out = limit_.EndWindows(now);
    admitted = limit_.Admit(kind, now);
  }
  TellLeftOut(left_out);
  if (admitted) Write(level, message, fields);
}

void Logger::SumUp() {
  std::vector<LineLimit::LeftOut> left_out;
  {
    absl::MutexLock lock(&mu_);
    left_out = limit_.EndWindows(clock_.Now());
  }
  TellLeftOut(left_out);
}

void Logger::TellLeftOut(const std::vector<LineLimit::LeftOut>& left_out) {
  for (const auto& [kind, lines] : left_out) {
    Warning("lines left out: too many of one kind",
            {{"kind", kind}, {"lines", lines}, {"seconds", absl::ToDoubleSeconds(kWindow)}});
  }
}

bool Logger::Flush(absl::Duration patience) {
  const absl::Time end = clock_.Now() + patience;
  while (sink_->handled() + static_cast<int64_t>(queue_->overrun_counter()) < posted_) {
    if (clock_.Now() >= end) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

int64_t Logger::dropped() const { return static_cast<int64_t>(queue_->overrun_counter()) + sink_->failed(); }

}  // namespace varserve::telemetry
