#include "server/grpc/status_mapping.h"

#include "google/rpc/retry.pb.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"

namespace varserve::rpc {
namespace {

TEST(StatusMappingTest, KeepsCodeAndMessage) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "field: why"));
    EXPECT_EQ(status.error_code(), code);
    EXPECT_EQ(status.error_message(), "field: why");
    EXPECT_EQ(status.error_details(), "");
  }
}

TEST(StatusMappingTest, CutsLongMessages) {
  const grpc::Status status = ToGrpcStatus(absl::InternalError(std::string(5000, 'x')));
  EXPECT_EQ(status.error_message(), std::string(1024, 'x'));
}

TEST(StatusMappingTest, RetryDelayBecomesRetryInfo) {
  const grpc::Status status = ToGrpcStatus(
      engine::WithRetryDelay(absl::ResourceExhaustedError("queue: full"), absl::Milliseconds(1250)));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(details.message(), "queue: full");
  ASSERT_EQ(details.details_size(), 1);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(0).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 1);
  EXPECT_EQ(retry.retry_delay().nanos(), 250'000'000);
}

}  // namespace
}  // namespace varserve::rpc
