// The real service and engine around a runner that can be held up, called over a real connection.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/gate.h"
#include "tests/testing/in_process_server.h"
#include "tests/unit/grpc/chat_request.h"

namespace varserve::rpc {

class InferenceServiceFixture : public ::testing::Test {
 protected:
  void Start(varserve::testing::InProcessOptions options = {}) {
    runner_.fault = [this](const engine::StepPlan&) {
      gate_.Pass();
      return absl::OkStatus();
    };
    server_ = std::make_unique<varserve::testing::InProcessServer>(&runner_, testing::LoadSmallPreprocessor(),
                                                                   std::move(options));
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

  varserve::testing::FakeModelRunner runner_{varserve::testing::FakeModelRunner::LongContextFacts()};
  varserve::testing::Gate gate_;
  std::unique_ptr<varserve::testing::InProcessServer> server_;
  std::unique_ptr<client::InferenceClient> client_;
  std::vector<std::thread> background_;
};

}  // namespace varserve::rpc
