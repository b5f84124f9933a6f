// What the server does not let a connection have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/unread_call.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kAnswer[] = "/varserve.v1.VisionLanguage/Answer";

// More than a connection takes ahead of its reader.
v1::AnswerRequest MuchToRead() {
  v1::AnswerRequest request = LongQuestion(450);
  request.mutable_options()->set_logprobs(20);
  request.mutable_var()->set_mode(v1::VAR_MODE_OBSERVE);
  request.mutable_var()->set_detail(v1::VAR_DETAIL_MAPS);
  return request;
}

class ConnectionLimitsTest : public ::testing::Test {
 protected:
  const ServableModel model_;
};

TEST_F(ConnectionLimitsTest, ACallNobodyReadsIsCancelledAndDisturbsNobody) {
  ServerProcess server(model_.dir(), {"--write_timeout=300ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto stub = ConnectWithSmallWindow(server.address());
  UnreadCall abandoned(*stub, MuchToRead());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(50)).ok());
  absl::SleepFor(absl::Seconds(3));  // nothing but the server ends the call
  EXPECT_EQ(abandoned.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(server.Metric("varserve_requests_running"), 0);
}

TEST_F(ConnectionLimitsTest, StreamsOfAConnection) {
  ServerProcess server(model_.dir(), {"--max_concurrent_streams=2"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto stub = ConnectWithSmallWindow(server.address());
  const auto ask = [](v1::VisionLanguage::Stub& stub) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(3));
    v1::Model model;
    return stub.GetModel(&context, {}, &model).error_code();
  };
  EXPECT_EQ(ask(*stub), grpc::StatusCode::OK);
  {
    UnreadCall one(*stub, MuchToRead());
    UnreadCall two(*stub, MuchToRead());
    while (server.Metric("varserve_time_to_first_token_seconds_count") < 2)
      absl::SleepFor(absl::Milliseconds(20));
    EXPECT_EQ(ask(*stub), grpc::StatusCode::DEADLINE_EXCEEDED) << "has to wait for its stream";
    EXPECT_EQ(ask(*ConnectWithSmallWindow(server.address())), grpc::StatusCode::OK)
        << "another connection has its own";
  }
  EXPECT_EQ(ask(*stub), grpc::StatusCode::OK);
}

TEST_F(ConnectionLimitsTest, Metadata) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const auto ask = [&](size_t bytes) {
    const auto stub =
        ConnectWithSmallWindow(server.address());  // the refusal may take its connection with it
    grpc::ClientContext context;
    context.AddMetadata("x-note", std::string(bytes, 'n'));
    v1::Model model;
    return stub->GetModel(&context, {}, &model).error_code();
  };
  EXPECT_EQ(ask(10'000), grpc::StatusCode::OK);
  EXPECT_EQ(ask(40'000), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ask(10), grpc::StatusCode::OK);
}

TEST_F(ConnectionLimitsTest, UploadsThatStallTakeBoundedMemoryAndEnd) {
  ServerProcess server(model_.dir(), {"--receive_memory=64M", "--read_timeout=3s"});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
  const std::string large = GrpcFrame(std::string(50 << 20, 'x'));
  const int64_t before = ProcessStatus(server.pid(), "VmRSS");
  std::vector<std::unique_ptr<Http2Client>> callers;
  for (int i = 0; i < 8; ++i) {
    callers.push_back(std::make_unique<Http2Client>(server.port()));
    const int call = callers.back()->Call(kAnswer);
    callers.back()->Send(call, std::string_view(large).substr(0, 49 << 20));
    EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok()) << "another caller's turn";
  }
  EXPECT_LT(ProcessStatus(server.pid(), "VmRSS"), before + (200 << 10)) << "of 400 MB";
  while (server.Metric("varserve_requests_total", "code=\"CANCELLED\"") < 1)
    absl::SleepFor(absl::Milliseconds(50));
  while (ProcessStatus(server.pid(), "VmRSS") > before + (50 << 10)) absl::SleepFor(absl::Milliseconds(50));
}

TEST_F(ConnectionLimitsTest, AMessageOfEmptyMessagesIsRefusedBeforeItIsBuilt) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
  std::string empty_images;
  for (int i = 0; i < (8 << 20); ++i) empty_images += {'\x0a', '\x00'};
  const std::string frame = GrpcFrame(empty_images);
  const int64_t before = ProcessStatus(server.pid(), "VmHWM");
  Http2Client caller(server.port());
  const int call = caller.Call(kAnswer);
  caller.Send(call, frame, /*end=*/true);
  EXPECT_EQ(caller.WaitForStatus(call), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(caller.received(call), HasSubstr("images[8]"));
  EXPECT_LT(ProcessStatus(server.pid(), "VmHWM"), before + (100 << 10)) << "it would take 580 MB";
}

TEST_F(ConnectionLimitsTest, IdleConnectionsMakeRoom) {
  ServerProcess server(model_.dir(), {"--max_connections=20"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
  std::vector<std::unique_ptr<Http2Client>> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(std::make_unique<Http2Client>(server.port()));
  Http2Client newest(server.port());
  const int check = newest.Call("/grpc.health.v1.Health/Check");
  newest.Send(check, GrpcFrame(""), /*end=*/true);
  EXPECT_EQ(newest.WaitForStatus(check), 0);
  EXPECT_TRUE(Ask(*client, LongQuestion(1), {.max_retries = 3}).ok())
      << "its connection was as idle as others";
  const auto open = [&] {
    return std::count_if(idle.begin(), idle.end(), [](auto& one) {
      one->Receive();
      return !one->closed();
    });
  };
  while (open() > 20) absl::SleepFor(absl::Milliseconds(20));
}

// gRPC's own listener would be gone for good.
TEST_F(ConnectionLimitsTest, OutOfFilesForAWhile) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
  rlimit usual{};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &usual), 0);
  const auto files =
      std::distance(std::filesystem::directory_iterator(absl::StrCat("/proc/", server.pid(), "/fd")), {});
  const rlimit tight{.rlim_cur = static_cast<rlim_t>(files) + 5, .rlim_max = usual.rlim_max};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, &tight, nullptr), 0);
  {
    std::vector<std::unique_ptr<Http2Client>> callers;
    for (int i = 0; i < 30; ++i) callers.push_back(std::make_unique<Http2Client>(server.port()));
    absl::SleepFor(absl::Milliseconds(300));
  }
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
}

TEST_F(ConnectionLimitsTest, ThreadsDoNotGrowWithCalls) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
  const int64_t before = ProcessStatus(server.pid(), "Threads");
  Http2Client caller(server.port());
  caller.Receive(std::chrono::seconds(5));
  for (int i = 0; i < 300; ++i) {
    caller.Call("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
    caller.Call("/grpc.health.v1.Health/Watch");
    caller.Call(kAnswer);
  }
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
  EXPECT_LT(ProcessStatus(server.pid(), "Threads"), before + 30);
}

TEST_F(ConnectionLimitsTest, AConnectionsAgeCutsNoAnswer) {
  ServerProcess server(model_.dir(), {"--max_connection_age=500ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  const absl::Time end = absl::Now() + absl::Seconds(3);
  while (absl::Now() < end) {
    const absl::Status status = Ask(*client, LongQuestion(450));
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_F(ConnectionLimitsTest, AnIdleConnectionIsClosedAndAnotherMade) {
  ServerProcess server(model_.dir(), {"--max_connection_idle=300ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  Http2Client idle(server.port());
  const auto client = server.Connect();
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
  while (!idle.closed()) idle.Receive(std::chrono::milliseconds(20));
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
}

}  // namespace
}  // namespace varserve::testing
