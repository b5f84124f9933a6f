// Replies to requests that are refused or failed. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/http/http_message.h"

namespace varserve::http {

// OpenAI's error object, under the error's HTTP status.
std::string ErrorReply(const absl::Status& error, ReplyHead head);
// The same under `http_status`.
std::string ErrorReply(const absl::Status& error, ReplyHead head, int http_status);

}  // namespace varserve::http
