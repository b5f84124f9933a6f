#include "server/openai/error_reply.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "server/engine/retry_delay.h"

namespace varserve::openai {
namespace {

using nlohmann::json;

constexpr size_t kMaxMessage = 1024;

// Empty if the message does not begin with a field.
absl::string_view ParamOf(const absl::Status& status) {
  const absl::string_view message = status.message();
  const size_t colon = message.find(':');
  const absl::string_view field = message.substr(0, colon);
  const bool is_field = colon != message.npos && std::all_of(field.begin(), field.end(), [](unsigned char c) {
                          return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '[' || c == ']';
                        });
  return is_field && HttpStatusOf(status) < 500 ? field : "";
}

absl::string_view CodeOf(const absl::Status& status) {
  switch (HttpStatusOf(status)) {
    case 401:
      return "invalid_api_key";
    case 404:
      if (ParamOf(status) == "model") return "model_not_found";
      return absl::StartsWith(ParamOf(status), "messages[") ? "image_not_found" : "";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_exceeded";
    default:
      return "";
  }
}

json TextOrNull(absl::string_view text) { return text.empty() ? json(nullptr) : json(std::string(text)); }

}  // namespace

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kCancelled:
      return 408;  // if the client still listens: the request arrived too slowly
    case absl::StatusCode::kResourceExhausted:
      // Without a delay, no later time helps.
      return engine::GetRetryDelay(status).has_value() ? 429 : 413;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorBody(const absl::Status& status) {
  const int http = HttpStatusOf(status);
  const char* type = http == 429   ? "rate_limit_error"
                     : http >= 500 ? "server_error"
                                   : "invalid_request_error";
  const json body = {{"error",
                      {{"message", std::string(status.message().substr(0, kMaxMessage))},
                       {"type", type},
                       {"param", TextOrNull(ParamOf(status))},
                       {"code", TextOrNull(CodeOf(status))}}}};
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace varserve::openai
