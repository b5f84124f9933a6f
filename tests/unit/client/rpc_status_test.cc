#include "client/rpc_status.h"

#include <gtest/gtest.h>

#include "google/rpc/retry.pb.h"

namespace varserve::client {
namespace {

TEST(FromGrpcStatus, KeepsCodeAndMessage) {
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
  EXPECT_EQ(FromGrpcStatus({grpc::StatusCode::UNAVAILABLE, "draining"}), absl::UnavailableError("draining"));
}

TEST(FromGrpcStatus, StreamResetByAProxyIsUnavailable) {
  const absl::Status status =
      FromGrpcStatus({grpc::StatusCode::INTERNAL, "Received RST_STREAM with error code 2"});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::IsUnavailable(
      FromGrpcStatus({grpc::StatusCode::RESOURCE_EXHAUSTED, "Received RST_STREAM with error code 11"})));
  EXPECT_TRUE(absl::IsInternal(FromGrpcStatus({grpc::StatusCode::INTERNAL, "logits are not finite"})));
}

TEST(RetryDelay, ComesFromTheDetails) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(2);
  info.mutable_retry_delay()->set_nanos(500'000'000);
  google::rpc::Status details;
  details.add_details();  // of a kind nobody knows
  details.add_details()->PackFrom(info);
  const absl::Status status =
      FromGrpcStatus({grpc::StatusCode::RESOURCE_EXHAUSTED, "full", details.SerializeAsString()});
  EXPECT_EQ(RetryDelay(status), absl::Seconds(2.5));
}

TEST(RetryDelay, IsNoneWhereTheDetailsSayNothing) {
  EXPECT_EQ(RetryDelay(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(RetryDelay(FromGrpcStatus({grpc::StatusCode::UNAVAILABLE, "x", "\xff no message"})),
            std::nullopt);
}

TEST(RetryDelay, IsNeverNegative) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(-5);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  EXPECT_EQ(RetryDelay(FromGrpcStatus({grpc::StatusCode::UNAVAILABLE, "x", details.SerializeAsString()})),
            absl::ZeroDuration());
}

}  // namespace
}  // namespace varserve::client
