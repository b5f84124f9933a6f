// Callers that do not read their answer.
#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/unread_call.h"
#include "tests/unit/grpc/inference_service_fixture.h"

namespace varserve::rpc {
namespace {

using varserve::testing::ConnectWithSmallWindow;
using varserve::testing::InProcessOptions;
using varserve::testing::UnreadCall;

class SlowReaderTest : public InferenceServiceFixture {};

// Alternatives of every token: more than a connection takes ahead of its reader. The token is a whole
// character, so that it is sent at once.
void SendMuch(engine::StepOutput& output) {
  for (engine::SequenceResult& result : output.results) {
    if (!result.token.has_value()) continue;
    result.token->id = 800;
    result.token->top.assign(20, {65, -1.5F});
  }
}

TEST_F(SlowReaderTest, ASlowReaderGetsItsAnswerAndHoldsUpNobody) {
  Start();
  runner_.edit_output = SendMuch;
  v1::GenerateRequest request = Chat("slow", 2000);
  request.mutable_options()->set_logprobs(20);
  const auto stub = ConnectWithSmallWindow(server_->address());
  UnreadCall call(*stub, request);
  while (server_->Metric("time_to_first_token_seconds") < 1) std::this_thread::yield();
  server_->WaitUntilIdle();  // all tokens are made
  EXPECT_TRUE(Ask(Chat("fast", 20)).ok());
  EXPECT_EQ(server_->Metric("requests_total", "OK"), 1) << "it counts once it is read";
  EXPECT_TRUE(call.Finish().ok());
  EXPECT_EQ(server_->Metric("requests_total", "OK"), 2);
}

TEST_F(SlowReaderTest, ACallNobodyReadsIsCancelled) {
  InProcessOptions options;
  options.calls.write_timeout = absl::Milliseconds(200);
  Start(options);
  runner_.fault = [](const engine::StepPlan&) {
    absl::SleepFor(absl::Milliseconds(1));  // so that it is not done before it is cancelled
    return absl::OkStatus();
  };
  runner_.edit_output = SendMuch;
  v1::GenerateRequest request = Chat("lazy", 8000);
  request.mutable_options()->set_logprobs(20);
  const auto stub = ConnectWithSmallWindow(server_->address());
  UnreadCall call(*stub, request);
  while (server_->Metric("requests_total") < 1) absl::SleepFor(absl::Milliseconds(5));
  server_->WaitUntilIdle();
  EXPECT_LT(server_->Metric("generated_tokens_total"), 8000);
  EXPECT_EQ(server_->Metric("kv_cache_usage_ratio"), 0);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace varserve::rpc
