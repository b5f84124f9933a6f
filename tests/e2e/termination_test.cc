// SIGTERM under load, twice, before the model is there, and a step that hangs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using Health = grpc::health::v1::HealthCheckResponse;

// Callers that ask again and again until the server is gone.
class Callers {
 public:
  Callers(const ServerProcess& server, int count, uint32_t max_tokens) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &server, max_tokens] {
        const auto client = server.Connect();
        absl::Status status;
        while (status.ok()) {
          bool started = false;
          status = client
                       ->Answer(LongQuestion(max_tokens), {},
                                [&](const v1::GenerateResponse& response) {
                                  started |= response.has_started();
                                  running_ += response.has_started();
                                  return true;
                                })
                       .status();
          running_ -= started;
          ++(status.ok() ? answered_ : started ? broken_off_ : refused_);
          // gRPC itself cancels calls that reach it in the moment it shuts down.
          const bool came_too_late = absl::IsAborted(status) && !started;
          EXPECT_TRUE(status.ok() || absl::IsUnavailable(status) || came_too_late) << status;
        }
      });
    }
  }
  ~Callers() { Join(); }

  // Until so many calls run or have been answered.
  void WaitFor(int running, int answered) const {
    while (running_ < running || answered_ < answered) absl::SleepFor(absl::Milliseconds(5));
  }
  void Join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  int answered() const { return answered_; }
  int broken_off() const { return broken_off_; }

 private:
  std::vector<std::thread> threads_;
  std::atomic<int> running_ = 0;
  std::atomic<int> answered_ = 0;
  std::atomic<int> broken_off_ = 0;
  std::atomic<int> refused_ = 0;
};

class TerminationTest : public ::testing::Test {
 protected:
  const ServableModel model_;
};

TEST_F(TerminationTest, RunningCallsFinishDuringTheDrain) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  Callers callers(server, 6, 200);
  callers.WaitFor(3, 6);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
  callers.Join();
  EXPECT_EQ(callers.broken_off(), 0) << "there was time for all";
  EXPECT_THAT(server.Log(), HasSubstr("stopped"));
}

TEST_F(TerminationTest, CallsThatDoNotFinishInTimeEndWithAStatus) {
  ServerProcess server(model_.dir(), {"--drain_seconds=0"});
  ASSERT_TRUE(server.WaitUntilReady());
  Callers callers(server, 6, 450);
  callers.WaitFor(6, 0);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
  callers.Join();
  EXPECT_GT(callers.broken_off(), 0);
}

TEST_F(TerminationTest, NewCallsAreSentAwayDuringTheDrain) {
  ServerProcess server(model_.dir(), {"--max_running=1"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  ASSERT_TRUE(Ask(*client, LongQuestion(1)).ok());
  // Many, one after the other, so that the drain takes a while.
  constexpr int kCalls = 24;
  std::atomic<int> answered = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kCalls; ++i) {
    threads.emplace_back([&] { answered += Ask(*client, LongQuestion(450)).ok(); });
  }
  // A call whose prompt is still being prepared when the drain begins is sent away.
  while (server.Metric("varserve_requests_waiting") + server.Metric("varserve_requests_running") < kCalls ||
         server.Metric("varserve_requests_preparing") > 0) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  server.Signal(SIGTERM);
  ASSERT_TRUE(server.WaitForLog("draining"));
  EXPECT_TRUE(absl::IsUnavailable(Ask(*client, LongQuestion(1))));
  const auto ready = client->CheckHealth(client::InferenceClient::kService, {});
  const auto live = client->CheckHealth("", {});
  ASSERT_TRUE(ready.ok() && live.ok()) << ready.status() << live.status();
  EXPECT_EQ(ready->status(), Health::NOT_SERVING);
  EXPECT_EQ(live->status(), Health::SERVING);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, kCalls) << "what was accepted is answered, waiting ones too";
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST_F(TerminationTest, ASecondSignalEndsItAtOnce) {
  ServerProcess server(model_.dir(), {"--max_running=1", "--drain_seconds=600"});
  ASSERT_TRUE(server.WaitUntilReady());
  Callers callers(server, 20, 450);
  callers.WaitFor(1, 0);
  server.Signal(SIGTERM);
  ASSERT_TRUE(
      server.WaitForLog("draining: running requests may finish; a second signal stops the server at once"));
  server.Signal(SIGINT);
  EXPECT_EQ(server.WaitForExit(), 128 + SIGINT);
  EXPECT_FALSE(server.WaitForLog("stopped", absl::ZeroDuration()));
}

TEST_F(TerminationTest, ASignalBeforeItIsReadyEndsItAtOnce) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitForLog("listening"));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

// Every step is too long for this watchdog.
TEST_F(TerminationTest, AStuckEngineShowsInHealthAndMetrics) {
  ServerProcess server(model_.dir(), {"--watchdog=1ns"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  std::atomic<bool> enough = false;
  std::vector<std::thread> load;
  for (int i = 0; i < 4; ++i) {
    load.emplace_back([&] {
      const auto own = server.Connect();
      while (!enough) EXPECT_TRUE(Ask(*own, LongQuestion(450)).ok());
    });
  }
  EXPECT_TRUE(server.WaitForLog("the engine is stuck"));
  const auto health = [&](const std::string& service) {
    const auto response = client->CheckHealth(service, {});
    return response.ok() ? response->status() : Health::UNKNOWN;
  };
  while (health("") != Health::NOT_SERVING) absl::SleepFor(absl::Milliseconds(10));
  while (server.Metric("varserve_engine_stuck") != 1) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(health(client::InferenceClient::kService), Health::NOT_SERVING);
  EXPECT_EQ(server.Metric("varserve_ready"), 0);
  enough = true;
  for (std::thread& thread : load) thread.join();
  while (health("") != Health::SERVING) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_TRUE(Ask(*client, LongQuestion(1)).ok());
}

}  // namespace
}  // namespace varserve::testing
