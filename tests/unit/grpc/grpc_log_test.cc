#include "server/grpc/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <string>

namespace varserve::rpc {
namespace {

TEST(GrpcLogTest, WhatGrpcSaysIsALineOfTheLog) {
  ::testing::internal::CaptureStderr();
  {
    const auto logger = telemetry::Logger::Create("text", "info");
    ASSERT_TRUE(logger.ok());
    const GrpcLog grpc_log(logger->get());
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // as the first server or channel does
    gpr_log(GPR_ERROR, "handshake %d failed", 7);
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              ::testing::HasSubstr("warning grpc text=\"handshake 7 failed\"\n"));
}

}  // namespace
}  // namespace varserve::rpc
