// What the service answers, and what it refuses.
#include "server/grpc/inference_service.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <thread>

#include "client/rpc_status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http2_client.h"
#include "tests/unit/grpc/inference_service_fixture.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using varserve::testing::InProcessOptions;

constexpr char kPicture[] = "P6 is no picture";  // cannot be decoded

v1::AnswerRequest WithBadPicture() {
  v1::AnswerRequest request;
  request.add_images()->set_data(kPicture);
  request.set_question("What?");
  return request;
}

class InferenceServiceTest : public InferenceServiceFixture {};

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
  options.calls.receive.bytes = 1000;  // what arrives waits
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

}  // namespace
}  // namespace varserve::rpc
