// The caller's place in a distributed trace: the header `traceparent` of W3C Trace Context. Thread-safe.
#pragma once

#include "absl/strings/string_view.h"

namespace varserve::telemetry {

// version-trace id-parent id-flags in lower case hexadecimal, no id all zero. Later versions than 00 may go
// on after the flags.
bool IsTraceparent(absl::string_view text);

}  // namespace varserve::telemetry
