// The calls as a client makes them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/pictures.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;

v1::AnswerRequest Question(const std::string& question, v1::VarMode mode = v1::VAR_MODE_OFF) {
  v1::AnswerRequest request;
  request.add_images()->set_data(Picture("rgb.jpg"));
  request.set_question(question);
  request.mutable_options()->set_max_tokens(24);
  request.mutable_options()->set_ignore_eos(true);
  request.mutable_var()->set_mode(mode);
  return request;
}

class ServingTest : public ::testing::Test {
 protected:
  ServingTest() : server_(model_.dir()) {
    EXPECT_TRUE(server_.WaitUntilReady());
    client_ = server_.Connect();
  }

  struct Answer {
    v1::Started started;
    std::string text;  // of the deltas
    std::vector<uint32_t> token_ids;
    absl::StatusOr<v1::Finished> finished;
  };
  Answer Ask(const v1::AnswerRequest& request) {
    Answer answer;
    answer.finished = client_->Answer(request, {}, [&](const v1::GenerateResponse& response) {
      if (response.has_started()) answer.started = response.started();
      answer.text += response.delta().text();
      for (const uint32_t id : response.delta().token_ids()) answer.token_ids.push_back(id);
      return true;
    });
    return answer;
  }

  const ServableModel model_;
  ServerProcess server_;
  std::unique_ptr<client::InferenceClient> client_;
};

TEST_F(ServingTest, StreamsAnAnswer) {
  const Answer first = Ask(Question("What is it?"));
  ASSERT_TRUE(first.finished.ok()) << first.finished.status();
  EXPECT_EQ(first.started.visual_tokens(), 36);
  EXPECT_EQ(first.started.cached_tokens(), 0);
  EXPECT_EQ(first.token_ids.size(), 24);
  EXPECT_EQ(first.text, first.finished->text());
  EXPECT_EQ(first.finished->finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(first.finished->usage().generated_tokens(), 24);
  EXPECT_FALSE(first.finished->has_var_report());

  // Another question on the same picture finds its prefix; the same question gives the same answer.
  EXPECT_EQ(Ask(Question("And what is left of it?")).started.cached_tokens(), 36);
  EXPECT_EQ(Ask(Question("What is it?")).token_ids, first.token_ids);
}

TEST_F(ServingTest, VarIsSwitchedByRequest) {
  const Answer off = Ask(Question("What is it?"));
  const Answer observe = Ask(Question("What is it?", v1::VAR_MODE_OBSERVE));
  v1::AnswerRequest request = Question("What is it?", v1::VAR_MODE_ON);
  request.mutable_var()->set_rho(0);
  request.mutable_var()->set_min_visual_attention(0);
  request.mutable_var()->set_p(1);
  const Answer on = Ask(request);
  ASSERT_TRUE(off.finished.ok() && observe.finished.ok() && on.finished.ok());
  EXPECT_EQ(observe.token_ids, off.token_ids);
  EXPECT_EQ(observe.finished->var_report().redistributed_attention(), 0);
  EXPECT_GT(observe.finished->var_report().text_sink_tokens(), 0);
  const v1::VarReport& report = on.finished->var_report();
  EXPECT_GT(report.redistributed_attention(), 0);
  EXPECT_GT(report.visual_attention_after(), 0);
  EXPECT_EQ(report.layers_size(), 4);         // all but the last
  EXPECT_EQ(on.started.cached_tokens(), 36);  // the prefix does not depend on VAR
  EXPECT_EQ(on.started.var().mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(on.started.var().p(), 1);
}

TEST_F(ServingTest, CompareGivesEachSettingsOwnAnswer) {
  v1::CompareRequest compare;
  v1::Message* message = compare.mutable_request()->add_messages();
  message->set_role(v1::ROLE_USER);
  message->add_parts()->mutable_image()->set_data(Picture("rgb.jpg"));
  message->add_parts()->set_text("What is it?");
  *compare.mutable_request()->mutable_options() = Question("").options();
  compare.add_settings()->set_mode(v1::VAR_MODE_OFF);
  v1::VarOptions& on = *compare.add_settings();
  on.set_mode(v1::VAR_MODE_ON);
  on.set_rho(0);
  const auto finished = client_->Compare(compare, {}, [](const auto&) { return true; });
  ASSERT_TRUE(finished.ok()) << finished.status();
  ASSERT_EQ(finished->size(), 2);
  v1::AnswerRequest alone = Question("What is it?");
  EXPECT_EQ((*finished)[0].text(), Ask(alone).finished->text());
  *alone.mutable_var() = on;
  EXPECT_EQ((*finished)[1].text(), Ask(alone).finished->text());
}

TEST_F(ServingTest, SeveralAtOnce) {
  std::vector<std::string> alone;
  for (int i = 0; i < 6; ++i) alone.push_back(Ask(Question(std::string(1 + i, 'a'))).finished->text());
  std::vector<std::string> together(alone.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < alone.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto finished = client_->Answer(
          Question(std::string(1 + i, 'a'), i % 2 == 0 ? v1::VAR_MODE_OFF : v1::VAR_MODE_OBSERVE), {},
          [](const auto&) { return true; });
      if (finished.ok()) together[i] = finished->text();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

TEST_F(ServingTest, StopStringIsNeverSent) {
  const std::string text = Ask(Question("What is it?")).text;
  ASSERT_GE(text.size(), 6);
  v1::AnswerRequest request = Question("What is it?");
  const std::string stop = text.substr(3, 2);
  request.mutable_options()->add_stop(stop);
  const Answer stopped = Ask(request);
  ASSERT_TRUE(stopped.finished.ok()) << stopped.finished.status();
  EXPECT_EQ(stopped.finished->finish_reason(), v1::FINISH_REASON_STOP_STRING);
  EXPECT_EQ(stopped.text, text.substr(0, text.find(stop)));
}

TEST_F(ServingTest, SeedRepeats) {
  v1::AnswerRequest request = Question("What is it?");
  request.mutable_options()->set_temperature(2);
  request.mutable_options()->set_seed(7);
  const Answer first = Ask(request);
  EXPECT_EQ(Ask(request).token_ids, first.token_ids);
  request.mutable_options()->set_seed(8);
  EXPECT_NE(Ask(request).token_ids, first.token_ids);
}

TEST_F(ServingTest, LogprobsComeWithEveryToken) {
  v1::AnswerRequest request = Question("What is it?");
  request.mutable_options()->set_logprobs(3);
  int tokens = 0;
  const auto finished = client_->Answer(request, {}, [&](const v1::GenerateResponse& response) {
    for (const v1::TokenLogprob& logprob : response.delta().logprobs()) {
      ++tokens;
      EXPECT_LE(logprob.logprob(), 0);
      EXPECT_EQ(logprob.top_size(), 3);
      EXPECT_EQ(logprob.top(0).token_id(), logprob.token_id());  // greedy
      EXPECT_GE(logprob.top(0).logprob(), logprob.top(1).logprob());
    }
    return true;
  });
  EXPECT_TRUE(finished.ok());
  EXPECT_EQ(tokens, 24);
}

TEST_F(ServingTest, CancelledAndLateCallsStop) {
  v1::AnswerRequest request = Question("What is it?");
  request.mutable_options()->set_max_tokens(400);
  int responses = 0;
  const auto cancelled =
      client_->Answer(request, {}, [&](const v1::GenerateResponse&) { return ++responses < 3; });
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  const auto late =
      client_->Answer(request, {.timeout = absl::Milliseconds(5)}, [](const auto&) { return true; });
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  // Both leave the batch before they have made all their tokens.
  for (int i = 0; i < 500 && server_.Metric("varserve_requests_running") > 0; ++i)
    absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(server_.Metric("varserve_requests_running"), 0);
  EXPECT_TRUE(Ask(Question("Still there?")).finished.ok());
}

TEST_F(ServingTest, TellsTheModel) {
  const auto model = client_->GetModel({});
  ASSERT_TRUE(model.ok()) << model.status();
  if (TestDevice() == "far") {
    EXPECT_EQ(model->device(), "far:0");
  }
  EXPECT_EQ(model->decoder().layers(), 5);
  EXPECT_EQ(model->vision_tower().kind(), "dinov2");
  EXPECT_EQ(model->vision_tower().visual_tokens(), 36);
  EXPECT_THAT(model->var_profile().source(), HasSubstr("model directory"));
  EXPECT_EQ(model->default_var().mode(), v1::VAR_MODE_OFF);
}

TEST_F(ServingTest, HealthAndDrain) {
  using Health = grpc::health::v1::HealthCheckResponse;
  for (const char* name : {"", client::InferenceClient::kService}) {
    const auto health = client_->CheckHealth(name, {});
    ASSERT_TRUE(health.ok()) << health.status();
    EXPECT_EQ(health->status(), Health::SERVING);
  }
  EXPECT_EQ(client_->CheckHealth("other", {}).status().code(), absl::StatusCode::kNotFound);
  server_.Signal(SIGTERM);
  EXPECT_EQ(server_.WaitForExit(), 0);
  EXPECT_THAT(server_.Log(), HasSubstr("stopped"));
}

TEST(InstructionSet, IsTheOneThatIsForced) {
  const ServableModel model;
  ServerProcess server(model.dir(), {"--isa=baseline"});
  ASSERT_TRUE(server.WaitUntilReady()) << server.Log();
  const auto client = server.Connect();
  EXPECT_EQ(client->GetModel({})->instruction_set(), "baseline");
  EXPECT_THAT(server.Log(), HasSubstr("instruction_set=baseline"));
  EXPECT_TRUE(client->Answer(Question("What is it?"), {}, [](const auto&) { return true; }).ok());
}

TEST(Profile, OffWorksWithoutOne) {
  const ServableModel model;
  model.Remove("var_profile.json");
  ServerProcess server(model.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  const auto ask = [&](v1::VarMode mode) {
    return client->Answer(Question("What is it?", mode), {}, [](const auto&) { return true; }).status();
  };
  EXPECT_TRUE(ask(v1::VAR_MODE_OFF).ok());
  EXPECT_EQ(ask(v1::VAR_MODE_ON).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ask(v1::VAR_MODE_OBSERVE).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace varserve::testing
