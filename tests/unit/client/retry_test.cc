#include "client/retry.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

#include "client/rpc_status.h"
#include "google/rpc/retry.pb.h"

namespace varserve::client {
namespace {

constexpr double kAlmostOne = 0.999;

absl::Status Told(grpc::StatusCode code, int64_t seconds) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(seconds);
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  return FromGrpcStatus({code, "queue: full", details.SerializeAsString()});
}

TEST(RetryWait, IsNoneWhereTryingAgainCannotHelp) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_EQ(RetryWait(status, 0, 0).has_value(), absl::IsUnavailable(status)) << status;
  }
  EXPECT_EQ(RetryWait(Told(grpc::StatusCode::INVALID_ARGUMENT, 1), 0, 0), std::nullopt);
}

TEST(RetryWait, IsTheServersTimeOrSomewhatMore) {
  for (const auto code : {grpc::StatusCode::RESOURCE_EXHAUSTED, grpc::StatusCode::UNAVAILABLE}) {
    for (const int retries : {0, 7}) {
      EXPECT_EQ(RetryWait(Told(code, 10), retries, 0), absl::Seconds(10));
      EXPECT_EQ(RetryWait(Told(code, 10), retries, 0.5), absl::Seconds(12.5));
      EXPECT_LT(*RetryWait(Told(code, 10), retries, kAlmostOne), absl::Seconds(15));
    }
  }
}

TEST(RetryWait, DoublesWhereTheServerNamesNone) {
  const absl::Status status = absl::UnavailableError("draining");
  EXPECT_EQ(RetryWait(status, 0, 0.5), absl::Milliseconds(500));
  EXPECT_EQ(RetryWait(status, 1, 0.5), absl::Seconds(1));
  EXPECT_EQ(RetryWait(status, 5, 0.5), absl::Seconds(16));
  for (const int retries : {6, 31, 32, 2'000'000'000}) {
    EXPECT_EQ(RetryWait(status, retries, 0.5), absl::Seconds(16)) << retries;
  }
  EXPECT_GE(*RetryWait(status, 0, 0), absl::Milliseconds(400));
  EXPECT_LT(*RetryWait(status, 0, kAlmostOne), absl::Milliseconds(600));
}

TEST(RetryWait, HoldsWhateverTheServerNames) {
  EXPECT_EQ(RetryWait(Told(grpc::StatusCode::UNAVAILABLE, -5), 0, kAlmostOne), absl::ZeroDuration());
  EXPECT_GT(
      *RetryWait(Told(grpc::StatusCode::UNAVAILABLE, std::numeric_limits<int64_t>::max()), 0, kAlmostOne),
      absl::Hours(1'000'000));
}

}  // namespace
}  // namespace varserve::client
