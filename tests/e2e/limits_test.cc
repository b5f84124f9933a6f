// What the server does not let a caller have.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/rpc_status.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A connection of which each test says how it is used.
std::unique_ptr<v1::VisionLanguage::Stub> Connect(const ServerProcess& server) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::VisionLanguage::NewStub(
      grpc::CreateCustomChannel(server.address(), grpc::InsecureChannelCredentials(), arguments));
}

// More than a connection takes ahead of its reader.
v1::AnswerRequest MuchToRead() {
  v1::AnswerRequest request = LongQuestion(450);
  request.mutable_options()->set_logprobs(20);
  request.mutable_var()->set_mode(v1::VAR_MODE_OBSERVE);
  request.mutable_var()->set_detail(v1::VAR_DETAIL_MAPS);
  return request;
}

// A call whose answer nobody reads.
class UnreadCall {
 public:
  UnreadCall(v1::VisionLanguage::Stub& stub, const v1::AnswerRequest& request)
      : reader_(stub.Answer(&context_, request)) {}
  ~UnreadCall() {
    if (finished_) return;
    context_.TryCancel();
    Finish();
  }
  // Reads what has come, to the end. To be called once.
  grpc::Status Finish() {
    for (v1::GenerateResponse response; reader_->Read(&response);) {
    }
    finished_ = true;
    return reader_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader_;
  bool finished_ = false;
};

class LimitsTest : public ::testing::Test {
 protected:
  const ServableModel model_;
};

TEST_F(LimitsTest, ACallNobodyReadsIsCancelledAndDisturbsNobody) {
  ServerProcess server(model_.dir(), {"--write_timeout=300ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto stub = Connect(server);
  UnreadCall abandoned(*stub, MuchToRead());
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(50)).ok());
  absl::SleepFor(absl::Seconds(3));  // nothing but the server ends the call
  EXPECT_EQ(abandoned.Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(server.Metric("varserve_requests_running"), 0);
}

TEST_F(LimitsTest, StreamsOfAConnection) {
  ServerProcess server(model_.dir(), {"--max_concurrent_streams=2"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto stub = Connect(server);
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
    EXPECT_EQ(ask(*Connect(server)), grpc::StatusCode::OK) << "another connection has its own";
  }
  EXPECT_EQ(ask(*stub), grpc::StatusCode::OK);
}

TEST_F(LimitsTest, Metadata) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const auto ask = [&](size_t bytes) {
    const auto stub = Connect(server);  // the refusal may take its connection with it
    grpc::ClientContext context;
    context.AddMetadata("x-note", std::string(bytes, 'n'));
    v1::Model model;
    return stub->GetModel(&context, {}, &model).error_code();
  };
  EXPECT_EQ(ask(10'000), grpc::StatusCode::OK);
  EXPECT_EQ(ask(40'000), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ask(10), grpc::StatusCode::OK);
}

constexpr char kAnswer[] = "/varserve.v1.VisionLanguage/Answer";

TEST_F(LimitsTest, UploadsThatStallTakeBoundedMemoryAndEnd) {
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

TEST_F(LimitsTest, AMessageOfEmptyMessagesIsRefusedBeforeItIsBuilt) {
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

TEST_F(LimitsTest, IdleConnectionsMakeRoom) {
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
TEST_F(LimitsTest, OutOfFilesForAWhile) {
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

TEST_F(LimitsTest, ThreadsDoNotGrowWithCalls) {
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

TEST_F(LimitsTest, AConnectionsAgeCutsNoAnswer) {
  ServerProcess server(model_.dir(), {"--max_connection_age=500ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  const absl::Time end = absl::Now() + absl::Seconds(3);
  while (absl::Now() < end) {
    const absl::Status status = Ask(*client, LongQuestion(450));
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_F(LimitsTest, AnIdleConnectionIsClosedAndAnotherMade) {
  ServerProcess server(model_.dir(), {"--max_connection_idle=300ms"});
  ASSERT_TRUE(server.WaitUntilReady());
  Http2Client idle(server.port());
  const auto client = server.Connect();
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
  while (!idle.closed()) idle.Receive(std::chrono::milliseconds(20));
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
}

TEST_F(LimitsTest, DeadlinesThatPassCountAsThat) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  int late = 0;
  for (int i = 0; i < 20; ++i) {
    const absl::Status status = Ask(*client, LongQuestion(450), {.timeout = absl::Milliseconds(5 + 5 * i)});
    late += absl::IsDeadlineExceeded(status) ? 1 : 0;
  }
  EXPECT_GT(late, 0);
  WaitUntilIdle(server);
  EXPECT_EQ(server.Metric("varserve_requests_total", "code=\"CANCELLED\""), 0);
  EXPECT_GE(late, server.Metric("varserve_requests_total", "code=\"DEADLINE_EXCEEDED\""))
      << "what passed on the way never arrived";
}

TEST_F(LimitsTest, DeadlineInTheQueue) {
  ServerProcess server(model_.dir(), {"--max_running=1"});
  ASSERT_TRUE(server.WaitUntilReady());
  std::vector<std::thread> before;
  for (int i = 0; i < 6; ++i) {
    before.emplace_back([&] { EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(450)).ok()); });
  }
  while (server.Metric("varserve_requests_waiting") < 5) absl::SleepFor(absl::Milliseconds(5));
  const absl::Status late =
      Ask(*server.Connect(), LongQuestion(10, "Too late?"), {.timeout = absl::Milliseconds(50)});
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  for (std::thread& thread : before) thread.join();
  EXPECT_EQ(server.Metric("varserve_queue_time_seconds_count"), 7) << "it waited, too";
}

// The bytes that "memory planned" says something takes.
int64_t Planned(const ServerProcess& server, const std::string& what) {
  const std::string log = server.Log();
  const size_t at = log.find(" " + what + "=");
  int64_t value = 0;
  EXPECT_NE(at, log.npos) << what;
  const size_t begin = at + what.size() + 2;
  EXPECT_TRUE(absl::SimpleAtoi(log.substr(begin, log.find_first_of(" \n", begin) - begin), &value));
  return value;
}

TEST_F(LimitsTest, Memory) {
  int64_t block = 0;
  int64_t fixed = 0;
  {
    ServerProcess server(model_.dir());
    ASSERT_TRUE(server.WaitUntilReady());
    block = (Planned(server, "kv_cache_bytes") + Planned(server, "evidence_bytes")) /
            (Planned(server, "kv_cache_tokens") / 16);
    fixed = Planned(server, "weights_bytes") + Planned(server, "vision_tower_bytes") +
            Planned(server, "step_bytes") + Planned(server, "image_bytes") +
            Planned(server, "request_bytes") + Planned(server, "reply_bytes");
    EXPECT_THAT(server.Log(), HasSubstr("\n  KV cache ")) << "a table for people";
  }
  ServerProcess server(model_.dir(), {absl::StrCat("--memory_budget=", fixed + 12 * block)});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_EQ(Planned(server, "kv_cache_tokens"), 12 * 16);
  const auto client = server.Connect();
  const absl::Status never = Ask(*client, LongQuestion(300));
  EXPECT_TRUE(absl::IsResourceExhausted(never)) << never;
  EXPECT_THAT(std::string(never.message()), StartsWith("max_tokens: "));
  EXPECT_FALSE(client::RetryDelay(never).has_value()) << "to try again does not help";
  // More at a time than there is memory for wait for each other.
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(60)).ok()); });
  }
  for (std::thread& thread : threads) thread.join();

  ServerProcess too_small(model_.dir(), {absl::StrCat("--memory_budget=", fixed)});
  EXPECT_EQ(too_small.WaitForExit(), 1);
  EXPECT_THAT(too_small.Log(), HasSubstr("--memory_budget: "));
}

TEST_F(LimitsTest, TokensOfAnAnswer) {
  ServerProcess server(model_.dir(), {"--max_tokens=5"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto stub = Connect(server);
  grpc::ClientContext context;
  v1::Model model;
  ASSERT_TRUE(stub->GetModel(&context, {}, &model).ok());
  EXPECT_EQ(model.limits().max_tokens(), 5U);
  for (const uint32_t asked : {3U, 5U, 6U, std::numeric_limits<uint32_t>::max()}) {
    const auto answer = server.Connect()->Answer(LongQuestion(asked), {}, [](const auto&) { return true; });
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->usage().generated_tokens(), std::min(asked, 5U));
    EXPECT_EQ(answer->finish_reason(), v1::FINISH_REASON_LENGTH);
  }
}

TEST_F(LimitsTest, FlagsThatMeanNothingEndTheStart) {
  for (const std::string flag : {"--max_tokens=0", "--max_running_per_caller=-1",
                                 "--max_waiting_per_caller=-1", "--prefix_cache_scope=tenant"}) {
    ServerProcess server(model_.dir(), {flag});
    EXPECT_EQ(server.WaitForExit(), 1) << flag;
    EXPECT_THAT(server.Log(), HasSubstr(flag.substr(0, flag.find('=')) + ": "));
  }
}

TEST_F(LimitsTest, JsonLogsAreJsonOnly) {
  ServerProcess server(model_.dir(), {"--log_format=json"});
  ASSERT_TRUE(server.WaitForLog("\"ready\""));
  std::stringstream log(server.Log());
  for (std::string line; std::getline(log, line);) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

// Weights that make no number of one token, the letter q.
TEST_F(LimitsTest, LogitsThatAreNoNumbersEndOnlyTheirRequest) {
  FileTensors weights = model_.tiny().weights();
  FileTensor& embedding = weights.at("language_model.model.embed_tokens.weight");
  const int64_t width = embedding.shape[1];
  const int64_t q = 4 + ('q' - ' ');  // see servable_model.cc
  for (int64_t i = 0; i < width; ++i)
    embedding.values[q * width + i] = std::numeric_limits<float>::quiet_NaN();
  WriteSafetensors(model_.dir() + "/model.safetensors", weights);
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  const auto ask = [&](const std::string& question) {
    return client->Answer(LongQuestion(8, question), {}, [](const auto&) { return true; });
  };
  const auto before = ask("What is it?");
  ASSERT_TRUE(before.ok()) << before.status();
  const absl::Status status = ask("What is its queue?").status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("finite"));
  const auto after = ask("What is it?");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->text(), before->text());
}

}  // namespace
}  // namespace varserve::testing
