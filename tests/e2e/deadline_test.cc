// Calls whose deadline passes.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

class DeadlineTest : public ::testing::Test {
 protected:
  const ServableModel model_;
};

TEST_F(DeadlineTest, DeadlinesThatPassCountAsThat) {
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

TEST_F(DeadlineTest, DeadlineInTheQueue) {
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

}  // namespace
}  // namespace varserve::testing
