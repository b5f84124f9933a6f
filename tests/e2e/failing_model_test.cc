// A model whose every step fails, as a broken device makes it: its embedding turns to NaN in the running
// server's memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/process_memory.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
constexpr char kEmbedding[] = "language_model.model.embed_tokens.weight";
using Health = grpc::health::v1::HealthCheckResponse;

class FailingModelTest : public ::testing::Test {
 protected:
  FailingModelTest() {
    const std::vector<float>& values = model_.tiny().weights().at(kEmbedding).values;
    sound_.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  void Break() const { EXPECT_GE(ReplaceInMemory(server_->pid(), sound_, broken()), 1); }
  void Repair() const { EXPECT_GE(ReplaceInMemory(server_->pid(), broken(), sound_), 1); }
  std::string broken() const { return std::string(sound_.size(), '\xff'); }  // NaN as float32
  Health::ServingStatus Status(const std::string& service) const {
    const auto health = client_->CheckHealth(service, {});
    return health.ok() ? health->status() : Health::UNKNOWN;
  }
  void WaitFor(Health::ServingStatus status) const {
    while (Status(client::InferenceClient::kService) != status) absl::SleepFor(absl::Milliseconds(20));
  }
  void Start(const std::string& watchdog) {
    server_ = std::make_unique<ServerProcess>(
        model_.dir(),
        std::vector<std::string>{"--dtype=float32", "--max_failed_steps=3", "--watchdog=" + watchdog});
    ASSERT_TRUE(server_->WaitUntilReady());
    client_ = server_->Connect();
    ASSERT_TRUE(Ask(*client_, LongQuestion(3)).ok());
  }

  const ServableModel model_;
  std::string sound_;  // the embedding
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<client::InferenceClient> client_;
};

TEST_F(FailingModelTest, TakesNoRequestsUntilItsOwnQuestionIsAnswered) {
  Start("600s");
  Break();
  EXPECT_TRUE(absl::IsInternal(Ask(*client_, LongQuestion(3))));
  EXPECT_EQ(Status(client::InferenceClient::kService), Health::SERVING) << "one failed step means nothing";
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(absl::IsInternal(Ask(*client_, LongQuestion(3))));
  WaitFor(Health::NOT_SERVING);
  EXPECT_EQ(Status(""), Health::SERVING) << "it may recover";
  EXPECT_EQ(server_->Metric("varserve_engine_failing"), 1);
  EXPECT_EQ(server_->Metric("varserve_ready"), 0);

  Repair();
  WaitFor(Health::SERVING);  // nobody asks but the server itself
  EXPECT_EQ(server_->Metric("varserve_engine_failing"), 0);
  EXPECT_TRUE(Ask(*client_, LongQuestion(3)).ok());
}

TEST_F(FailingModelTest, EndsWhenThatLasts) {
  Start("3s");
  Break();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(absl::IsInternal(Ask(*client_, LongQuestion(3))));
  EXPECT_EQ(server_->WaitForExit(), 1);
  EXPECT_THAT(server_->Log(), HasSubstr("the model fails"));
  EXPECT_THAT(server_->Log(), HasSubstr("not finite"));
  EXPECT_THAT(server_->Log(), HasSubstr("stopped")) << "in order";
}

// Weights that make no number of one token, the letter q.
TEST_F(FailingModelTest, LogitsThatAreNoNumbersEndOnlyTheirRequest) {
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
