// Clients whose process is killed while they are being answered. ./dev soak kills a thousand.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/soak.h"

namespace varserve::testing {
namespace {

// Runs the command-line client until the first text of the answer comes, then kills it.
bool AskAndBeKilled(const std::string& address, const std::string& picture) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return false;
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(output[1], STDOUT_FILENO);
    execl(VARSERVE_CLIENT, "varserve", "ask", "--address", address.c_str(), "--max-tokens", "450",
          "--ignore-eos", picture.c_str(), "What is it?", nullptr);
    _exit(127);
  }
  close(output[1]);
  char text = 0;
  const bool began = read(output[0], &text, 1) == 1;
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  close(output[0]);
  return began;
}

TEST(LostClientsTest, LeaveNothingBehind) {
  const ServableModel model;
  const std::string picture = RepositoryPath("tests/golden/images/files/rgb.jpg");
  ServerProcess server(model.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  // So many that were being answered; one that could not connect in time does not count.
  const auto kill_clients = [&](int count) {
    std::atomic<int> began = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        while (began < count) began += AskAndBeKilled(server.address(), picture) ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    WaitUntilIdle(server);
  };
  kill_clients(8);  // threads and buffers the server keeps
  const int64_t memory_before = ProcessStatus(server.pid(), "VmRSS");
  const int64_t threads_before = ProcessStatus(server.pid(), "Threads");

  const int count = SoakAmount("VARSERVE_LOST_CLIENTS", 12);
  kill_clients(count);
  EXPECT_EQ(server.Metric("varserve_kv_cache_usage_ratio"), 0);
  EXPECT_GT(server.Metric("varserve_requests_total", "code=\"CANCELLED\""), 0);
  const int64_t memory_after = ProcessStatus(server.pid(), "VmRSS");
  const int64_t threads_after = ProcessStatus(server.pid(), "Threads");
  EXPECT_LT(memory_after, memory_before + (32 << 10));
  EXPECT_LT(threads_after, threads_before + 8);
  EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(10)).ok());
  TellSoak(absl::StrFormat(
      "lost clients: %d or more killed in mid-stream, %.0f calls cancelled; no request or KV block left; "
      "memory %.1f MB before and %.1f MB after, threads %d and %d",
      count + 8, server.Metric("varserve_requests_total", "code=\"CANCELLED\""), memory_before / 1024.0,
      memory_after / 1024.0, threads_before, threads_after));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

}  // namespace
}  // namespace varserve::testing
