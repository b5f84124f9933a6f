// The memory for pictures, seen by callers over a real connection.
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <thread>

#include "absl/strings/escaping.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/digest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/gate.h"
#include "tests/testing/in_process_server.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using varserve::testing::FakeModelRunner;
using varserve::testing::Gate;
using varserve::testing::InProcessServer;

v1::AnswerRequest Question(int pictures) {
  static const std::string picture = ReadFile(RepositoryPath("tests/golden/images/files/photo.jpg"));
  v1::AnswerRequest request;
  for (int i = 0; i < pictures; ++i) request.add_images()->set_data(picture);
  request.set_question("What?");
  request.mutable_options()->set_max_tokens(2);
  request.mutable_options()->set_ignore_eos(true);
  return request;
}

class PicturesTest : public ::testing::Test {
 protected:
  void Start(int64_t image_memory, int64_t image_cache = 0) {
    memory_ = std::make_unique<ByteBudget>(image_memory);
    runner_.fault = [this](const engine::StepPlan&) {
      gate_.Pass();
      return absl::OkStatus();
    };
    server_ = std::make_unique<InProcessServer>(
        &runner_, testing::LoadSmallPreprocessor(),
        testing::InProcessOptions{
            .chat = {.worker_threads = 1, .image_memory = memory_.get(), .image_cache = image_cache}});
    client_ = server_->Connect();
  }
  absl::Status Ask(int pictures, absl::Duration timeout = absl::InfiniteDuration()) {
    return client_->Answer(Question(pictures), {.timeout = timeout}, [](const auto&) { return true; })
        .status();
  }
  // Another caller's text; it needs the only worker.
  absl::Status AskText() {
    v1::GenerateRequest request;
    v1::Message* message = request.add_messages();
    message->set_role(v1::ROLE_USER);
    message->add_parts()->set_text("Hello");
    request.mutable_options()->set_max_tokens(2);
    return client_->Generate(request, {}, [](const auto&) { return true; }).status();
  }

  std::unique_ptr<ByteBudget> memory_;  // outlives the server, which may hold a picture to its end
  FakeModelRunner runner_{FakeModelRunner::LongContextFacts()};
  Gate gate_;
  std::unique_ptr<InProcessServer> server_;
  std::unique_ptr<client::InferenceClient> client_;
};

TEST_F(PicturesTest, AreHeldUntilTheirRequestEnds) {
  Start(64 << 20);
  const int64_t kept = 3 * server_->preprocessor().image_processor().MakePlan(9, 9, 1)->image_bytes;
  gate_.Close();
  std::thread caller([this] { EXPECT_TRUE(Ask(3).ok()); });
  gate_.WaitForArrival();
  EXPECT_EQ(memory_->free(), memory_->size() - kept);
  gate_.Open();
  caller.join();
  server_->Stop();
  EXPECT_EQ(memory_->free(), memory_->size());
}

// By hand: the client sends by itself what the server does not have.
TEST_F(PicturesTest, AreNamedOnceTheyWereSent) {
  Start(64 << 20, /*image_cache=*/1 << 20);
  const auto stub = v1::VisionLanguage::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  const auto ask = [&](const v1::AnswerRequest& request, std::string& text) {
    grpc::ClientContext context;
    const auto reader = stub->Answer(&context, request);
    v1::GenerateResponse response;
    bool kept = false;
    while (reader->Read(&response)) {
      kept |= response.started().images_kept();
      text = response.finished().text();
    }
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(kept, status.ok());
    return status;
  };
  v1::AnswerRequest naming = Question(2);
  for (v1::Image& image : *naming.mutable_images())
    image.set_sha256(absl::BytesToHexString(BytesOf(Sha256({image.data()}))));
  std::string text;
  const grpc::Status missing = ask(naming, text);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(missing.error_message(), StartsWith("images[0].sha256: "));
  EXPECT_EQ(server_->Metric("image_cache_queries_total"), 2);
  EXPECT_EQ(server_->Metric("image_cache_hits_total"), 0);

  std::string sent_text;
  ASSERT_TRUE(ask(Question(2), sent_text).ok());
  const grpc::Status found = ask(naming, text);
  EXPECT_TRUE(found.ok()) << found.error_message();
  EXPECT_EQ(text, sent_text);
  EXPECT_EQ(server_->Metric("image_cache_hits_total"), 2);
  EXPECT_GT(server_->Metric("image_cache_bytes"), 0);
}

TEST_F(PicturesTest, AreSentAgainWhereTheServerKeepsNone) {
  Start(64 << 20);
  ASSERT_TRUE(Ask(1).ok());
  ASSERT_TRUE(Ask(1).ok());
  EXPECT_EQ(server_->Metric("image_cache_queries_total"), 0);
  v1::AnswerRequest naming = Question(0);
  naming.add_images()->set_sha256(std::string(64, '0'));
  const absl::Status refused = client_->Answer(naming, {}, [](const auto&) { return true; }).status();
  EXPECT_TRUE(absl::IsNotFound(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--image_cache"));
}

// What the client does by itself: the second question names the picture, and one that is gone is sent.
TEST_F(PicturesTest, AreSentOnceByTheClient) {
  Start(64 << 20, /*image_cache=*/4 << 10);
  ASSERT_TRUE(Ask(1).ok());
  ASSERT_TRUE(Ask(1).ok());
  EXPECT_EQ(server_->Metric("image_cache_hits_total"), 1);
  v1::AnswerRequest other = Question(0);
  other.add_images()->set_data(ReadFile(RepositoryPath("tests/golden/images/files/rgb.jpg")));
  ASSERT_TRUE(client_->Answer(other, {}, [](const auto&) { return true; }).ok());  // pushes out the first
  ASSERT_TRUE(Ask(1).ok());
  EXPECT_EQ(server_->Metric("image_cache_queries_total"), 2);
  EXPECT_EQ(server_->Metric("image_cache_hits_total"), 1);
  EXPECT_EQ(server_->Metric("requests_total", "NOT_FOUND"), 1);
}

TEST_F(PicturesTest, WaitForMemoryNoLongerThanTheirCall) {
  Start(64 << 20);
  absl::StatusOr<ByteBudget::Lease> all = memory_->Acquire(memory_->size(), NeverStop);
  const absl::Status late = Ask(1, absl::Milliseconds(200));
  EXPECT_TRUE(absl::IsDeadlineExceeded(late)) << late;
  EXPECT_TRUE(AskText().ok()) << "the worker is free again";

  const auto stub = v1::VisionLanguage::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto reader = stub->Answer(&context, Question(1));
  absl::SleepFor(absl::Milliseconds(100));  // to be cancelled on the way or while it waits: both are well
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(AskText().ok()) << "the worker is free again";

  std::thread caller([this] { EXPECT_TRUE(Ask(1).ok()); });
  all->ShrinkTo(0);
  caller.join();
}

TEST_F(PicturesTest, ThatNeedMoreThanThereIsAreRefused) {
  Start(100 << 10);
  const absl::Status refused = Ask(8);
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(StartsWith("images[0].data: decoding it takes "), HasSubstr("102400 for pictures")));
}

}  // namespace
}  // namespace varserve::rpc
