// The address a person writes, as the target gRPC dials. May be called from any thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve::client {

// "host:port" and what has a scheme of gRPC's ("dns:///host:port", "unix:/path") stay as they are. Of several
// addresses, "a:1,b:2", the names are looked up here, once, since gRPC takes a list of numbers only; dns:///
// follows a name that changes. INVALID_ARGUMENT beginning with "address".
absl::StatusOr<std::string> ParseTarget(absl::string_view address);

}  // namespace varserve::client
