// Range check of a request's field. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace varserve {

// INVALID_ARGUMENT beginning with the field's name unless `value` is in [low, high], or (low, high] if
// `open_low`.
absl::Status CheckRange(absl::string_view field, double value, double low, double high,
                        bool open_low = false);

}  // namespace varserve
