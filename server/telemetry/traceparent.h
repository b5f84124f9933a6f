// The caller's position in a distributed trace: the header `traceparent` of W3C Trace Context. Thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace varserve::telemetry {

// Whether `text` is version-traceid-parentid-flags in lowercase hexadecimal with no id all zero. Versions
// later than 00 may have more after the flags.
bool IsTraceparent(absl::string_view text);

}  // namespace varserve::telemetry
