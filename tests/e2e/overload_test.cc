// Twenty times as many calls as the server can take: what it accepts it finishes, the others are refused
// before their pictures are looked at. ./dev soak does it for a minute.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/rpc_status.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/soak.h"

namespace varserve::testing {
namespace {

constexpr int kRunning = 2;
constexpr int kWaiting = 4;
constexpr int kOverload = 20;
constexpr int kCallers = 60;
constexpr uint32_t kTokens = 300;

struct Outcomes {
  std::vector<double> accepted;  // seconds of the calls that were answered
  std::vector<double> refused;   // as the caller sees it
  int other = 0;
};

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// Seconds that the server spent on calls it refused, from its log, which has the first of them.
std::vector<double> RefusalSeconds(const std::string& log) {
  std::vector<double> seconds;
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    const size_t at = line.find(" seconds=");
    double value = 0;
    if (line.find("code=RESOURCE_EXHAUSTED") == line.npos || at == line.npos) continue;
    const absl::string_view rest = line.substr(at + 9);
    if (absl::SimpleAtod(rest.substr(0, rest.find(' ')), &value)) seconds.push_back(value);
  }
  return seconds;
}

// Callers that together make `rate` calls a second, whether or not earlier ones have ended, for so long.
Outcomes CallAtRate(const ServerProcess& server, double rate, absl::Duration duration) {
  absl::Mutex mu;
  Outcomes outcomes;
  const absl::Time start = absl::Now();
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] {
      const auto client = server.Connect();
      const absl::Duration interval = absl::Seconds(kCallers / rate);
      for (absl::Time next = start + interval * i / kCallers; next < start + duration; next += interval) {
        absl::SleepFor(next - absl::Now());
        const absl::Time begin = absl::Now();
        const absl::Status status = Ask(*client, LongQuestion(kTokens));
        const absl::Time end = absl::Now();
        absl::MutexLock lock(&mu);
        if (status.ok()) {
          outcomes.accepted.push_back(absl::ToDoubleSeconds(end - begin));
        } else if (absl::IsResourceExhausted(status) && client::RetryDelay(status).has_value()) {
          outcomes.refused.push_back(absl::ToDoubleSeconds(end - begin));
        } else {
          ++outcomes.other;
          ADD_FAILURE() << status;
        }
        while (next + interval < end) next += interval;  // the calls that fell due meanwhile are left out
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  return outcomes;
}

TEST(OverloadTest, RefusesAtOnceAndLosesNothing) {
  const ServableModel model;
  ServerProcess server(model.dir(),
                       {absl::StrCat("--max_running=", kRunning), absl::StrCat("--max_waiting=", kWaiting)});
  ASSERT_TRUE(server.WaitUntilReady());

  // What it can take: a full batch, again and again.
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (int i = 0; i < kRunning; ++i) {
    threads.emplace_back([&server] {
      const auto client = server.Connect();
      for (int n = 0; n < 3; ++n) EXPECT_TRUE(Ask(*client, LongQuestion(kTokens)).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double capacity = 3 * kRunning / absl::ToDoubleSeconds(absl::Now() - start);
  const double images_before = server.Metric("varserve_image_seconds_count");

  const int seconds = SoakAmount("VARSERVE_OVERLOAD_SECONDS", 3);
  const Outcomes outcomes = CallAtRate(server, kOverload * capacity, absl::Seconds(seconds));
  WaitUntilIdle(server);
  EXPECT_EQ(outcomes.other, 0);
  EXPECT_FALSE(outcomes.refused.empty());
  EXPECT_FALSE(outcomes.accepted.empty());
  EXPECT_EQ(server.Metric("varserve_image_seconds_count") - images_before, outcomes.accepted.size())
      << "pictures are decoded for accepted calls only";
  EXPECT_EQ(server.Metric("varserve_kv_cache_usage_ratio"), 0);

  const std::vector<double> inside = RefusalSeconds(server.Log());
  EXPECT_FALSE(inside.empty());
  EXPECT_LE(inside.size(), outcomes.refused.size());
  EXPECT_EQ(server.Metric("varserve_requests_total", "code=\"RESOURCE_EXHAUSTED\""), outcomes.refused.size());
  TellSoak(
      absl::StrFormat("overload: %d s at %.0f calls/s, %d times what the server takes (%d running, %d "
                      "waiting): %d answered, %d refused, "
                      "0 lost; answered in p50 %.2f s, p99 %.2f s, max %.2f s; refused in the server in p50 "
                      "%.3f ms, p99 %.3f ms, max "
                      "%.2f ms, as the caller sees it in p50 %.1f ms, p99 %.1f ms",
                      seconds, kOverload * capacity, kOverload, kRunning, kWaiting, outcomes.accepted.size(),
                      outcomes.refused.size(), Quantile(outcomes.accepted, 0.5),
                      Quantile(outcomes.accepted, 0.99), Quantile(outcomes.accepted, 1),
                      1e3 * Quantile(inside, 0.5), 1e3 * Quantile(inside, 0.99), 1e3 * Quantile(inside, 1),
                      1e3 * Quantile(outcomes.refused, 0.5), 1e3 * Quantile(outcomes.refused, 0.99)));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

}  // namespace
}  // namespace varserve::testing
