// Calls over a real connection to the real service and engine, around a runner that can be held up.
#include "server/grpc/inference_service.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <thread>

#include "client/rpc_status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/gate.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/in_process_server.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

using client::InferenceClient;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using varserve::testing::FakeModelRunner;
using varserve::testing::Gate;
using varserve::testing::InProcessOptions;
using varserve::testing::InProcessServer;

constexpr char kPicture[] = "P6 is no picture";  // cannot be decoded

engine::ModelFacts Facts() {
  engine::ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 8192;
  facts.num_kv_blocks = 4 * 8192 / facts.block_size;
  return facts;
}

v1::GenerateRequest Chat(const std::string& text, uint32_t max_tokens) {
  v1::GenerateRequest request;
  v1::Message* message = request.add_messages();
  message->set_role(v1::ROLE_USER);
  message->add_parts()->set_text(text);
  request.mutable_options()->set_max_tokens(max_tokens);
  request.mutable_options()->set_ignore_eos(true);
  return request;
}

v1::AnswerRequest WithBadPicture() {
  v1::AnswerRequest request;
  request.add_images()->set_data(kPicture);
  request.set_question("What?");
  return request;
}

class InferenceServiceTest : public ::testing::Test {
 protected:
  void Start(InProcessOptions options = {}) {
    runner_.fault = [this](const engine::StepPlan&) {
      gate_.Pass();
      return absl::OkStatus();
    };
    server_ =
        std::make_unique<InProcessServer>(&runner_, testing::LoadSmallPreprocessor(), std::move(options));
    client_ = server_->Connect();
  }

  absl::Status Ask(const v1::GenerateRequest& request, absl::Duration timeout = absl::InfiniteDuration()) {
    return client_->Generate(request, {.timeout = timeout}, [](const auto&) { return true; }).status();
  }
  // On threads of their own, until the test ends; again while the queue is full.
  void AskInBackground(const std::string& text) {
    background_.emplace_back([this, text] {
      absl::Status status;
      do {
        status = Ask(Chat(text, 2));
      } while (absl::IsResourceExhausted(status));
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  void TearDown() override {
    gate_.Open();
    for (std::thread& thread : background_) thread.join();
  }
  // A batch of one that does not move, and one request that waits. Looking whether it does takes its place
  // for a moment.
  void Fill() {
    gate_.Close();
    AskInBackground("one");
    gate_.WaitForArrival();
    AskInBackground("two");
    while (!absl::IsResourceExhausted(server_->engine().Reserve("", absl::InfiniteFuture()).status()))
      std::this_thread::yield();
  }

  FakeModelRunner runner_{Facts()};
  Gate gate_;
  std::unique_ptr<InProcessServer> server_;
  std::unique_ptr<InferenceClient> client_;
  std::vector<std::thread> background_;
};

TEST_F(InferenceServiceTest, AnswersAndAccounts) {
  Start();
  std::string text;
  int tokens = 0;
  const auto finished = client_->Generate(Chat("Hello", 20), {}, [&](const v1::GenerateResponse& response) {
    text += response.delta().text();
    tokens += response.delta().token_ids_size();
    return true;
  });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->text(), text);
  EXPECT_EQ(tokens, 20);
  server_->WaitUntilIdle();
  EXPECT_EQ(server_->Metric("requests_total"), 1);
  EXPECT_EQ(server_->Metric("generated_tokens_total"), 20);
  EXPECT_EQ(server_->Metric("kv_cache_usage_ratio"), 0);
}

TEST_F(InferenceServiceTest, RefusesWithoutLookingAtTheRequestWhenFull) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 1}});
  Fill();
  const absl::Status refused =
      client_->Answer(WithBadPicture(), {}, [](const auto&) { return true; }).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), StartsWith("queue: "));
  EXPECT_TRUE(client::RetryDelay(refused).has_value());
  EXPECT_EQ(server_->Metric("image_seconds"), 0);
}

// gRPC's clients and proxies try a call again only if nothing at all comes before its status.
TEST_F(InferenceServiceTest, ARefusalIsOnlyAStatus) {
  Start();
  const auto stub = v1::VisionLanguage::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  for (const bool refused : {true, false}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "mine");
    const auto reader = stub->Generate(&context, refused ? v1::GenerateRequest() : Chat("Hello", 2));
    v1::GenerateResponse response;
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().ok(), !refused);
    EXPECT_EQ(context.GetServerInitialMetadata().count("x-request-id"), refused ? 0 : 1);
    EXPECT_EQ(context.GetServerTrailingMetadata().count("x-request-id"), refused ? 1 : 0);
  }
}

TEST_F(InferenceServiceTest, ARefusedRequestGivesItsPlaceBack) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 0}});
  for (int i = 0; i < 5; ++i) {
    const absl::Status refused =
        client_->Answer(WithBadPicture(), {}, [](const auto&) { return true; }).status();
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), StartsWith("images[0].data: "));
  }
  EXPECT_TRUE(Ask(Chat("Hello", 2)).ok());
}

TEST_F(InferenceServiceTest, RefusesBytesBeyondWhatMayWaitForAWorker) {
  InProcessOptions options;
  options.chat.worker_threads = 0;
  options.service.receive_memory = 1000;  // what arrives waits
  Start(options);
  testing::Http2Client caller(server_->port());
  const int waits = caller.Call("/varserve.v1.VisionLanguage/Generate");
  caller.Send(waits, testing::GrpcFrame(Chat(std::string(100'000, 'a'), 2).SerializeAsString()),
              /*end=*/true);
  EXPECT_EQ(caller.WaitForStatus(waits, std::chrono::milliseconds(200)), std::nullopt)
      << "one always has room";
  absl::Status status;
  do {
    status = Ask(Chat("Hello", 2), absl::Milliseconds(50));
  } while (absl::IsDeadlineExceeded(status));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("too many bytes"));
  EXPECT_TRUE(client::RetryDelay(status).has_value());
}

// By its size, before a picture is looked at.
TEST_F(InferenceServiceTest, RefusesTextThatCannotFit) {
  Start();
  v1::AnswerRequest request = WithBadPicture();
  request.set_question(std::string(4 << 20, 'a'));
  const absl::Status question = client_->Answer(request, {}, [](const auto&) { return true; }).status();
  EXPECT_TRUE(absl::IsInvalidArgument(question)) << question;
  EXPECT_THAT(std::string(question.message()),
              StartsWith("question: 4194304 bytes; the model's context of 8192 tokens"));
  v1::GenerateRequest chat = Chat("Hello", 2);
  chat.mutable_messages(0)->add_parts()->set_text(std::string(4 << 20, 'a'));
  EXPECT_THAT(std::string(Ask(chat).message()), StartsWith("messages[0].parts[1].text: 4194304 bytes; "));
  EXPECT_EQ(server_->Metric("image_seconds"), 0);
  // Text that may fit, and then has too many tokens.
  EXPECT_THAT(std::string(Ask(Chat(std::string(100'000, '7'), 2)).message()),
              StartsWith("messages: the prompt leaves no room"));
}

TEST_F(InferenceServiceTest, EndsACallWhoseDeadlinePassesInTheQueue) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 1}});
  gate_.Close();
  AskInBackground("one");
  gate_.WaitForArrival();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ask(Chat("late", 2), absl::Milliseconds(50))));
  absl::SleepFor(
      absl::Milliseconds(200));  // the server's deadline is a network's way later than the client's
  gate_.Open();
  background_.front().join();
  background_.clear();
  EXPECT_EQ(server_->Metric("prompt_tokens_total"), server_->Metric("prefix_cache_queries_total"))
      << "only what ran was looked up";
  EXPECT_EQ(server_->Metric("queue_time_seconds"), 2) << "the late one waited, too";
}

TEST_F(InferenceServiceTest, IsUnavailableWithItsReason) {
  Start();
  server_->chat().Refuse("closed for today");
  EXPECT_EQ(Ask(Chat("Hello", 2)), absl::UnavailableError("closed for today"));
  EXPECT_EQ(client_->GetModel({}).status(), absl::UnavailableError("closed for today"));
}

TEST_F(InferenceServiceTest, FailsOnlyTheRequestWhoseStepFails) {
  Start();
  runner_.non_finite = [](const engine::SequenceStep& step) { return step.request->sampling.seed == 13; };
  v1::GenerateRequest bad = Chat("bad", 50);
  bad.mutable_options()->set_seed(13);
  std::thread beside([this] { EXPECT_TRUE(Ask(Chat("good", 200)).ok()); });
  const absl::Status status = Ask(bad);
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  beside.join();
}

// A client whose connection takes little ahead of its reading, and which does not read.
class LazyReader {
 public:
  explicit LazyReader(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    stub_ = v1::VisionLanguage::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }
  void Ask(const v1::GenerateRequest& request) { reader_ = stub_->Generate(&context_, request); }
  // Now reads on to the end.
  grpc::Status Finish() {
    for (v1::GenerateResponse response; reader_->Read(&response);) {
    }
    return reader_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::VisionLanguage::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateResponse>> reader_;
};

// Alternatives of every token: more than a connection takes ahead of its reader. The token is a whole
// character, so that it is sent at once.
void SendMuch(engine::StepOutput& output) {
  for (engine::SequenceResult& result : output.results) {
    if (!result.token.has_value()) continue;
    result.token->id = 800;
    result.token->top.assign(20, {65, -1.5F});
  }
}

// With the space that a Llama tokenizer drops at the start of a text.
TEST_F(InferenceServiceTest, TextsOfAlternativesAreAsInASentence) {
  Start();
  const int32_t word = *server_->tokenizer().TokenToId("▁image");
  runner_.edit_output = [&](engine::StepOutput& output) {
    for (engine::SequenceResult& result : output.results) {
      if (result.token.has_value()) result.token->top.assign(2, {word, -1.5F});
    }
  };
  v1::GenerateRequest request = Chat("Hello", 2);
  request.mutable_options()->set_logprobs(2);
  std::vector<std::string> texts;
  const auto finished = client_->Generate(request, {}, [&](const v1::GenerateResponse& response) {
    for (const v1::TokenLogprob& logprob : response.delta().logprobs()) {
      for (const auto& alternative : logprob.top()) texts.push_back(alternative.text());
    }
    return true;
  });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(texts, std::vector<std::string>(4, " image"));
}

// A newline that is a byte of its own ends the answer with its token, not with the next one.
TEST_F(InferenceServiceTest, AByteTokenEndsTheAnswerAtOnce) {
  Start();
  const int32_t newline = *server_->tokenizer().TokenToId("<0x0A>");
  runner_.edit_output = [&](engine::StepOutput& output) {
    for (engine::SequenceResult& result : output.results) {
      if (result.token.has_value()) result.token->id = newline;
    }
  };
  v1::GenerateRequest request = Chat("Hello", 20);
  request.mutable_options()->add_stop("\n");
  const auto finished = client_->Generate(request, {}, [](const auto&) { return true; });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->finish_reason(), v1::FINISH_REASON_STOP_STRING);
  EXPECT_EQ(finished->text(), "");
  EXPECT_EQ(finished->usage().generated_tokens(), 1);
}

TEST_F(InferenceServiceTest, ASlowReaderGetsItsAnswerAndHoldsUpNobody) {
  Start();
  LazyReader reader(server_->address());
  runner_.edit_output = SendMuch;
  v1::GenerateRequest request = Chat("slow", 2000);
  request.mutable_options()->set_logprobs(20);
  reader.Ask(request);
  while (server_->Metric("time_to_first_token_seconds") < 1) std::this_thread::yield();
  server_->WaitUntilIdle();  // all tokens are made
  EXPECT_TRUE(Ask(Chat("fast", 20)).ok());
  EXPECT_EQ(server_->Metric("requests_total", "OK"), 1) << "it counts once it is read";
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_EQ(server_->Metric("requests_total", "OK"), 2);
}

TEST_F(InferenceServiceTest, ACallNobodyReadsIsCancelled) {
  InProcessOptions options;
  options.service.write_timeout = absl::Milliseconds(200);
  Start(options);
  LazyReader reader(server_->address());
  runner_.fault = [](const engine::StepPlan&) {
    absl::SleepFor(absl::Milliseconds(1));  // so that it is not done before it is cancelled
    return absl::OkStatus();
  };
  runner_.edit_output = SendMuch;
  v1::GenerateRequest request = Chat("lazy", 8000);
  request.mutable_options()->set_logprobs(20);
  reader.Ask(request);
  while (server_->Metric("requests_total") < 1) absl::SleepFor(absl::Milliseconds(5));
  server_->WaitUntilIdle();
  EXPECT_LT(server_->Metric("generated_tokens_total"), 8000);
  EXPECT_EQ(server_->Metric("kv_cache_usage_ratio"), 0);
  EXPECT_EQ(reader.Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace varserve::rpc
