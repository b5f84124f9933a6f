#include "server/base/field_range.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace varserve {

absl::Status CheckRange(absl::string_view field, double value, double low, double high, bool open_low) {
  // Fields are floats: 0.01 as a float is not 0.01 as a double.
  const double least = static_cast<float>(low);
  if (std::isfinite(value) && value <= high && (open_low ? value > least : value >= least))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %.10g is not in %s%g, %.10g]", field, value, open_low ? "(" : "[", low, high));
}

}  // namespace varserve
