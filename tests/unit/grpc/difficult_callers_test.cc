// Callers as the real service meets them: slow, late, gone, or sending what they should not.
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/unread_call.h"
#include "tests/unit/grpc/chat_request.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::testing {
namespace {

using rpc::Chat;

constexpr char kGenerate[] = "/varserve.v1.VisionLanguage/Generate";

class DifficultCallersTest : public ::testing::Test {
 protected:
  void Start(InProcessOptions options = {}) {
    runner_ = std::make_unique<FakeModelRunner>(FakeModelRunner::LongContextFacts());
    server_ = std::make_unique<InProcessServer>(runner_.get(), LoadSmallPreprocessor(), std::move(options));
  }
  int port() const { return server_->port(); }
  absl::Status Ask(uint32_t max_tokens, absl::Duration timeout = absl::InfiniteDuration()) {
    return server_->Connect()
        ->Generate(Chat("Hello", max_tokens), {.timeout = timeout}, [](const auto&) { return true; })
        .status();
  }
  // Until a call has been counted with this code.
  void WaitForEnd(const std::string& code) {
    while (server_->Metric("requests_total", code) < 1) absl::SleepFor(absl::Milliseconds(1));
  }

  std::unique_ptr<FakeModelRunner> runner_;
  std::unique_ptr<InProcessServer> server_;
};

TEST_F(DifficultCallersTest, WhatTheHeadersForbidIsNotRead) {
  const TempDir dir;
  const auto logger = *telemetry::Logger::Create("text", "error");
  const auto tokens = *transport::BearerTokens::Load(dir.Write("tokens", "secret\n"), logger.get());
  InProcessOptions options;
  options.service.tokens = tokens.get();
  Start(options);
  // Of a message that never comes.
  Http2Client nobody(port());
  EXPECT_EQ(nobody.WaitForStatus(nobody.Call(kGenerate)), grpc::StatusCode::UNAUTHENTICATED);
  const Http2Client::Headers token = {{"authorization", "Bearer secret"}};
  Http2Client strange(port());
  const int call = strange.Call(kGenerate, {token[0], {"x-request-id", "two words"}});
  EXPECT_EQ(strange.WaitForStatus(call), grpc::StatusCode::INVALID_ARGUMENT);
  server_->chat().Refuse("closed");
  Http2Client late(port());
  EXPECT_EQ(late.WaitForStatus(late.Call(kGenerate, token)), grpc::StatusCode::UNAVAILABLE);
  server_.reset();  // before the tokens
}

TEST_F(DifficultCallersTest, ExactlyOneMessage) {
  Start();
  const std::string message = GrpcFrame(Chat("Hello", 1).SerializeAsString());
  for (const auto& [sent, status] : {std::pair<std::string, int>{"", grpc::StatusCode::INVALID_ARGUMENT},
                                     {message, grpc::StatusCode::OK},
                                     {message + message, grpc::StatusCode::INVALID_ARGUMENT},
                                     {message + message + message, grpc::StatusCode::INVALID_ARGUMENT}}) {
    Http2Client caller(port());
    const int call = caller.Call(kGenerate);
    caller.Send(call, sent, /*end=*/true);
    EXPECT_EQ(caller.WaitForStatus(call), status) << sent.size();
  }
  EXPECT_EQ(server_->Metric("requests_total", "INVALID_ARGUMENT"), 3);
  EXPECT_EQ(server_->Metric("requests_total", "OK"), 1);
}

TEST_F(DifficultCallersTest, CompressedMessagesAreRefused) {
  Start();
  for (const char* encoding : {"gzip", "deflate"}) {
    Http2Client caller(port());
    const int call = caller.Call(kGenerate, {{"grpc-encoding", encoding}});
    EXPECT_EQ(caller.WaitForStatus(call), grpc::StatusCode::UNIMPLEMENTED) << encoding;
  }
}

TEST_F(DifficultCallersTest, SlowSendersHoldNoPlaceAndEnd) {
  InProcessOptions options;
  options.scheduler.max_running = 1;
  options.queue.max_waiting = 1;
  options.calls.receive.timeout = absl::Milliseconds(500);
  Start(options);
  Http2Client slow(port());
  for (int i = 0; i < 10; ++i) slow.Send(slow.Call(kGenerate), GrpcFrame("half a message", 1000));
  Http2Client alone(port());
  const int call = alone.Call(kGenerate);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Ask(2).ok());
  EXPECT_EQ(alone.WaitForStatus(call), grpc::StatusCode::CANCELLED);
  while (server_->Metric("requests_total", "CANCELLED") < 11) slow.Receive(std::chrono::milliseconds(10));
}

TEST_F(DifficultCallersTest, AMessageThatIsTooLargeIsGivenUpWhileItArrives) {
  InProcessOptions options;
  options.service.max_message_bytes = 1 << 20;
  Start(options);
  Http2Client caller(port());
  const int call = caller.Call(kGenerate);
  caller.Send(call, GrpcFrame(std::string(4 << 20, 'x'), 300 << 20));
  EXPECT_EQ(caller.WaitForStatus(call), grpc::StatusCode::RESOURCE_EXHAUSTED) << "the rest never comes";
  WaitForEnd("RESOURCE_EXHAUSTED");
}

TEST_F(DifficultCallersTest, StalledMessagesGiveWayToOthers) {
  InProcessOptions options;
  options.calls.receive.bytes = 64 << 20;
  Start(options);
  const std::string large = GrpcFrame(std::string(40 << 20, 'x')).substr(0, 39 << 20);
  Http2Client one(port());
  const int first = one.Call(kGenerate);
  one.Send(first, large);
  EXPECT_TRUE(Ask(2).ok());
  Http2Client two(port());
  const int second = two.Call(kGenerate);
  two.Send(second, large);
  WaitForEnd("RESOURCE_EXHAUSTED");
  EXPECT_TRUE(Ask(2).ok());
  one.Receive(std::chrono::milliseconds(100));
  two.Receive(std::chrono::milliseconds(100));
  EXPECT_EQ(server_->Metric("requests_total", "RESOURCE_EXHAUSTED"), 1) << "there is room for one";
}

TEST_F(DifficultCallersTest, ADeadlineOfCenturies) {
  Start();
  Http2Client caller(port());
  const int call = caller.Call(kGenerate, {{"grpc-timeout", "99999999H"}});
  caller.Send(call, GrpcFrame(Chat("Hello", 2).SerializeAsString()), /*end=*/true);
  EXPECT_EQ(caller.WaitForStatus(call), grpc::StatusCode::OK);
}

// Wherever a call is when its caller runs out of time, it counts as that.
TEST_F(DifficultCallersTest, ADeadlineThatPassesWhileTheMessageArrives) {
  Start();
  Http2Client caller(port());
  const int call = caller.Call(kGenerate, {{"grpc-timeout", "200m"}});
  caller.Send(call, GrpcFrame("half", 100));
  WaitForEnd("DEADLINE_EXCEEDED");
  EXPECT_EQ(server_->Metric("requests_total"), 1);
}

TEST_F(DifficultCallersTest, ADeadlineThatPassesWhileItWaitsForAWorker) {
  InProcessOptions options;
  options.chat.worker_threads = 1;
  options.description.mutable_limits()->set_max_images(1000);
  Start(options);
  // The only worker has many pictures to decode, again and again.
  v1::AnswerRequest much;
  for (int i = 0; i < 1000; ++i)
    much.add_images()->set_data(ReadFile(RepositoryPath("tests/golden/images/files/422.jpg")));
  much.set_question("What?");
  much.mutable_options()->set_max_tokens(1);
  std::atomic<bool> done = false;
  std::thread busy([&] {
    while (!done) (void)server_->Connect()->Answer(much, {}, [](const auto&) { return true; });
  });
  while (server_->Metric("requests_total", "DEADLINE_EXCEEDED") < 1) (void)Ask(2, absl::Milliseconds(20));
  done = true;
  busy.join();
  EXPECT_EQ(server_->Metric("requests_total", "CANCELLED"), 0);
}

TEST_F(DifficultCallersTest, ADeadlineThatPassesWhileTokensCome) {
  Start();
  runner_->fault = [](const engine::StepPlan&) {
    absl::SleepFor(absl::Milliseconds(2));
    return absl::OkStatus();
  };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(absl::IsDeadlineExceeded(Ask(8000, absl::Milliseconds(200))));
  while (server_->Metric("requests_total", "DEADLINE_EXCEEDED") < 5) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(server_->Metric("requests_total"), 5);
}

TEST_F(DifficultCallersTest, ADeadlineThatPassesWhileNobodyReads) {
  Start();
  runner_->edit_output = [](engine::StepOutput& output) {
    for (engine::SequenceResult& result : output.results) {
      if (result.token.has_value()) result.token->top.assign(20, {65, -1.5F});
    }
  };
  const auto stub = ConnectWithSmallWindow(server_->address());
  v1::GenerateRequest request = Chat("Hello", 2000);
  request.mutable_options()->set_logprobs(20);
  UnreadCall call(*stub, request, std::chrono::system_clock::now() + std::chrono::seconds(3));
  while (server_->Metric("time_to_first_token_seconds") < 1) absl::SleepFor(absl::Milliseconds(1));
  server_->WaitUntilIdle();  // every token is made
  EXPECT_EQ(server_->Metric("requests_total"), 0) << "but not yet read";
  WaitForEnd("DEADLINE_EXCEEDED");
  EXPECT_EQ(server_->Metric("requests_total"), 1);
  EXPECT_EQ(call.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(DifficultCallersTest, ACallerThatHangsUpIsNotLate) {
  Start();
  runner_->fault = [](const engine::StepPlan&) {
    absl::SleepFor(absl::Milliseconds(2));
    return absl::OkStatus();
  };
  const auto status =
      server_->Connect()
          ->Generate(Chat("Hello", 8000), {.timeout = absl::Hours(1)},
                     [](const v1::GenerateResponse& response) { return !response.has_started(); })
          .status();
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  WaitForEnd("CANCELLED");
  // So does one whose connection ends while its message arrives. What is still on its way then may be lost.
  while (server_->Metric("requests_total", "CANCELLED") < 2) {
    Http2Client gone(port());
    gone.Send(gone.Call(kGenerate), GrpcFrame("half", 100));
    gone.Receive(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(server_->Metric("requests_total", "DEADLINE_EXCEEDED"), 0);
}

}  // namespace
}  // namespace varserve::testing
