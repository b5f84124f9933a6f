#include "client/rpc_status.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/retry.pb.h"

namespace varserve::client {
namespace {

constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // The server ends every call with a status; only a proxy that lost it, or has no memory left, resets one.
  const bool reset = absl::StrContains(status.error_message(), "RST_STREAM");
  if (reset && (status.error_code() == grpc::StatusCode::INTERNAL ||
                status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED)) {
    return absl::UnavailableError(
        absl::StrCat("a proxy between the client and the server reset the call: ", status.error_message()));
  }
  // The codes are numerically equal by definition.
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::RetryInfo>()) result.SetPayload(kRetryInfo, absl::Cord(detail.value()));
  }
  return result;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfo);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  const absl::Duration delay =
      absl::Seconds(info.retry_delay().seconds()) + absl::Nanoseconds(info.retry_delay().nanos());
  return std::max(delay, absl::ZeroDuration());
}

}  // namespace varserve::client
