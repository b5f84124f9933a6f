#include "server/telemetry/logging.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varserve::telemetry {
namespace {

// A string as JSON; bytes that are not UTF-8 become U+FFFD.
std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ValueText(const LogField& field, Logger::Format format) {
  if (const auto* text = std::get_if<std::string>(&field.value)) {
    const bool plain = format == Logger::Format::kText && !text->empty() &&
                       text->find_first_of(" \"\n\t=") == std::string::npos;
    return plain ? *text : Quoted(*text);
  }
  if (const auto* integer = std::get_if<int64_t>(&field.value)) return absl::StrCat(*integer);
  return absl::StrCat(std::get<double>(field.value));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Logger>> Logger::Create(absl::string_view format, absl::string_view level) {
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(absl::StrCat("log_format: \"", format, "\" is not text or json"));
  }
  const spdlog::level::level_enum threshold = spdlog::level::from_str(std::string(level));
  if (threshold == spdlog::level::off || threshold == spdlog::level::trace) {
    return absl::InvalidArgumentError(
        absl::StrCat("log_level: \"", level, "\" is not debug, info, warning or error"));
  }
  auto logger =
      std::make_shared<spdlog::logger>("varserve", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(threshold);
  logger->flush_on(spdlog::level::info);
  const bool json = format == "json";
  logger->set_pattern(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})" : "%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v",
      spdlog::pattern_time_type::utc);
  return std::unique_ptr<Logger>(new Logger(json ? Format::kJson : Format::kText, std::move(logger)));
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
  if (logger_->should_log(level)) logger_->log(level, "{}", Payload(format_, message, fields));
}

}  // namespace varserve::telemetry
