// Errors as OpenAI's API returns them. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace varserve::openai {

// The HTTP status of an error.
int HttpStatusOf(const absl::Status& status);

// {"error": {"message", "type", "param", "code"}}; the message cut to 1024 bytes. `param` is the field that
// the message begins with.
std::string ErrorBody(const absl::Status& status);

}  // namespace varserve::openai
