// The pipeline as a transport sees it: any implementation of ResponseStream gets whole answers, and no part
// of it needs gRPC.
#include "server/chat/chat_service.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/picture_files.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::chat {
namespace {

using ::testing::HasSubstr;
using varserve::testing::FakeModelRunner;

// Keeps what it is sent. Its caller stays to the end.
class KeptStream final : public ResponseStream {
 public:
  void Send(uint32_t setting, v1::GenerateResponse response) override {
    const absl::MutexLock lock(&mu_);
    sent_.emplace_back(setting, std::move(response));
  }
  void End(const absl::Status& status) override {
    std::vector<absl::AnyInvocable<void()>> callbacks;
    {
      const absl::MutexLock lock(&mu_);
      if (ended_.HasBeenNotified()) return;
      callbacks.swap(before_end_);
      status_ = status;
    }
    for (auto& callback : callbacks) callback();
    ended_.Notify();
  }
  void Abort(const absl::Status& status) override { End(status); }
  void NotifyWhenCancelled(std::function<void()> /*callback*/) override {}
  void NotifyBeforeEnd(absl::AnyInvocable<void()> callback) override {
    const absl::MutexLock lock(&mu_);
    before_end_.push_back(std::move(callback));
  }
  absl::Status departure() const override { return absl::OkStatus(); }

  absl::Status Wait() {
    ended_.WaitForNotification();
    const absl::MutexLock lock(&mu_);
    return status_;
  }
  // The answer to a setting: its deltas and its end must agree.
  std::string Text(uint32_t setting) {
    const absl::MutexLock lock(&mu_);
    std::string text;
    for (const auto& [of, response] : sent_) {
      if (of != setting) continue;
      text += response.delta().text();
      if (response.has_finished()) {
        EXPECT_EQ(response.finished().text(), text);
      }
    }
    return text;
  }
  // The first and the last reply of a setting.
  v1::Started Started(uint32_t setting) {
    const absl::MutexLock lock(&mu_);
    for (const auto& [of, response] : sent_) {
      if (of == setting) return response.started();
    }
    return {};
  }
  v1::Finished Finished(uint32_t setting) {
    const absl::MutexLock lock(&mu_);
    for (const auto& [of, response] : sent_) {
      if (of == setting && response.has_finished()) return response.finished();
    }
    return {};
  }

 private:
  absl::Notification ended_;
  absl::Mutex mu_;
  std::vector<std::pair<uint32_t, v1::GenerateResponse>> sent_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> before_end_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

v1::GenerateRequest Question() {
  v1::GenerateRequest request;
  v1::Message* message = request.add_messages();
  message->set_role(v1::ROLE_USER);
  message->add_parts()->set_text("Hello");
  request.mutable_options()->set_max_tokens(8);
  request.mutable_options()->set_ignore_eos(true);
  return request;
}

class ChatServiceTest : public ::testing::Test {
 protected:
  ChatServiceTest() {
    auto model = std::make_shared<ServingModel>();
    model->engine = &engine_;
    model->preprocessor = preprocessor_.get();
    v1::Model::Limits& limits = *model->description.mutable_limits();
    limits.set_max_tokens(100);
    limits.set_max_images(1);
    limits.set_max_image_bytes(1 << 20);
    limits.set_max_image_pixels(1 << 20);
    model->description.mutable_decoder()->set_context(static_cast<uint32_t>(runner_.facts().context));
    model->description.mutable_decoder()->set_vocabulary(64);
    model->intervention_defaults.var = {.profile_tau = 20.0F, .num_layers = runner_.facts().num_layers};
    model->intervention_defaults.attention = {.num_layers = runner_.facts().num_layers,
                                              .num_heads = runner_.facts().num_heads};
    model->services = {.tokenizer = &preprocessor_->tokenizer(),
                       .metrics = &metrics_,
                       .logger = logger_.get(),
                       .clock = &clock_,
                       .model_name = "test"};
    metrics_.OnModelLoaded({.dtype = "", .device = "", .num_layers = runner_.facts().num_layers});
    model_ = std::move(model);
  }

  // What a transport does, here with a message that needs no parsing.
  template <typename Request>
  std::shared_ptr<KeptStream> Ask(const Request& request, const absl::Status& read = absl::OkStatus()) {
    CallMetadata metadata = MakeCallMetadata("", "");
    metadata.arrival = clock_.Now();
    const auto stream = std::make_shared<KeptStream>();
    const absl::StatusOr<ChatService::ModelRef> model = chat_.Admit(metadata);
    const auto call = std::make_shared<Call>("Generate", std::move(metadata), stream);
    if (model.ok()) {
      chat_.Answer<Request>(*model, call, [request, read](const RequestLimits& /*limits*/, Request& into) {
        into = request;
        return read;
      });
    } else {
      chat_.Refuse(*call, model.status());
    }
    return stream;
  }

  const MonotonicClock clock_;
  FakeModelRunner runner_{FakeModelRunner::SmallFacts()};
  const std::unique_ptr<const Preprocessor> preprocessor_ = testing::LoadSmallPreprocessor();
  const std::unique_ptr<telemetry::Logger> logger_ = *telemetry::Logger::Create("text", "error");
  telemetry::Metrics metrics_{"test", "version"};
  engine::Engine engine_{{}, &runner_, &metrics_, &clock_};
  ByteBudget image_memory_{1 << 20};
  std::shared_ptr<const ServingModel> model_;
  ChatService chat_{
      {.image_memory = &image_memory_, .metrics = &metrics_, .logger = logger_.get(), .clock = &clock_}};
};

TEST_F(ChatServiceTest, AnswersThroughAnyStream) {
  chat_.Serve(model_);
  const auto alone = Ask(Question());
  EXPECT_TRUE(alone->Wait().ok()) << alone->Wait();
  EXPECT_FALSE(alone->Text(0).empty());

  v1::CompareRequest compare;
  *compare.mutable_request() = Question();
  compare.add_settings()->set_mode(v1::VAR_MODE_OFF);
  compare.add_settings()->set_mode(v1::VAR_MODE_OBSERVE);
  const auto both = Ask(compare);
  EXPECT_TRUE(both->Wait().ok()) << both->Wait();
  EXPECT_EQ(both->Text(0), alone->Text(0));
  EXPECT_EQ(both->Text(1), alone->Text(0));
}

TEST_F(ChatServiceTest, AContrastReportsItsSibling) {
  chat_.Serve(model_);
  v1::CompareRequest compare;
  *compare.mutable_request() = Question();
  const std::string picture = testing::JpegKinds()[0].make(60, 40, 1);
  compare.mutable_request()->mutable_messages(0)->add_parts()->mutable_image()->set_data(picture);
  compare.add_interventions()->mutable_var()->set_mode(v1::VAR_MODE_OFF);
  compare.add_interventions()->mutable_vcd();
  compare.add_interventions()->mutable_m3id()->set_beta(0.5F);
  compare.mutable_interventions(2)->mutable_var()->set_mode(v1::VAR_MODE_ON);
  const auto stream = Ask(compare);
  ASSERT_TRUE(stream->Wait().ok()) << stream->Wait();
  EXPECT_EQ(stream->Finished(0).usage().sibling_tokens(), 0U);
  EXPECT_FALSE(stream->Finished(0).has_contrast_report());

  const v1::Started vcd = stream->Started(1);
  EXPECT_EQ(vcd.intervention().method_case(), v1::Intervention::METHOD_NOT_SET);
  EXPECT_EQ(vcd.intervention().vcd().noise_step(), 500U);
  EXPECT_EQ(vcd.var().mode(), v1::VAR_MODE_OFF);
  const v1::Finished finished = stream->Finished(1);
  EXPECT_EQ(finished.contrast_report().sibling_prompt_tokens(), finished.usage().prompt_tokens());
  EXPECT_EQ(finished.contrast_report().tokens(), 8U);
  EXPECT_EQ(finished.usage().sibling_tokens(), finished.usage().prompt_tokens() + 8);

  const v1::Started both = stream->Started(2);
  EXPECT_TRUE(both.intervention().has_var() && both.intervention().has_m3id());
  EXPECT_LT(stream->Finished(2).contrast_report().sibling_prompt_tokens(), finished.usage().prompt_tokens());
  EXPECT_TRUE(stream->Finished(2).has_var_report());
  EXPECT_THAT(metrics_.Text(), HasSubstr("varserve_siblings_running"));

  v1::GenerateRequest without_picture = Question();
  without_picture.mutable_intervention()->mutable_vcd();
  const auto text = Ask(without_picture);
  ASSERT_TRUE(text->Wait().ok()) << text->Wait();
  EXPECT_FALSE(text->Finished(0).has_contrast_report());
}

TEST_F(ChatServiceTest, RefusesWithTheReason) {
  EXPECT_EQ(Ask(Question())->Wait(),
            absl::UnavailableError("the server is starting: the model is not loaded yet"));
  chat_.Serve(model_);
  EXPECT_EQ(Ask(Question(), absl::InvalidArgumentError("request: is wrong"))->Wait(),
            absl::InvalidArgumentError("request: is wrong"));
  EXPECT_EQ(Ask(v1::GenerateRequest())->Wait(),
            absl::InvalidArgumentError("messages: at least one is needed"));
  chat_.Refuse("closed");
  EXPECT_EQ(Ask(Question())->Wait(), absl::UnavailableError("closed"));
  EXPECT_THAT(metrics_.Text(), HasSubstr("code=\"UNAVAILABLE\""));
}

}  // namespace
}  // namespace varserve::chat
