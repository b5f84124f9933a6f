// A burst of large requests, and the memory they took is the system's again.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

constexpr int kCallers = 8;

// Whatever becomes of them.
void AskAtATime(const ServerProcess& server, const v1::AnswerRequest& request) {
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] { Ask(*server.Connect(), request).IgnoreError(); });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(HeapTest, MemoryOfLargeRequestsGoesBackWithinAMinute) {
  const ServableModel model;
  ServerProcess server(model.dir(), {"--worker_threads=8"});
  ASSERT_TRUE(server.WaitUntilReady());
  for (int i = 0; i < 3; ++i) AskAtATime(server, LongQuestion(20));
  const int64_t before = ProcessStatus(server.pid(), "VmRSS");

  v1::AnswerRequest large_picture = LongQuestion(1);
  large_picture.mutable_images(0)->set_data(std::string(19 << 20, 'x'));
  v1::AnswerRequest large_text = LongQuestion(1);
  for (int i = 0; i < 1 << 19; ++i) large_text.mutable_question()->append("what ");
  for (int i = 0; i < 2; ++i) {
    AskAtATime(server, large_picture);
    AskAtATime(server, large_text);
  }
  const int64_t after = ProcessStatus(server.pid(), "VmRSS");
  int64_t now = after;
  for (const absl::Time end = absl::Now() + absl::Seconds(120); now > 1.2 * before && absl::Now() < end;) {
    absl::SleepFor(absl::Milliseconds(100));
    now = ProcessStatus(server.pid(), "VmRSS");
  }
  EXPECT_LE(now, 1.2 * before) << "kB; " << before << " before, " << after << " after";
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(1)).ok());
}

}  // namespace
}  // namespace varserve::testing
