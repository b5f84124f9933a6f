#include "server/grpc/status_mapping.h"

#include "absl/strings/str_cat.h"
#include "google/rpc/retry.pb.h"
#include "server/engine/retry_delay.h"

namespace varserve::rpc {
namespace {

constexpr size_t kMaxMessage = 1024;

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message(status.message().substr(0, kMaxMessage));
  const auto code = static_cast<grpc::StatusCode>(status.code());  // numerically equal by definition
  const std::optional<absl::Duration> delay = engine::GetRetryDelay(status);
  if (!delay.has_value()) return grpc::Status(code, message);
  google::rpc::RetryInfo retry;
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(*delay);
  retry.mutable_retry_delay()->set_seconds(nanoseconds / 1'000'000'000);
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanoseconds % 1'000'000'000));
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(message);
  details.add_details()->PackFrom(retry);
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace varserve::rpc
