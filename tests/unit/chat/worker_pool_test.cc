#include "server/chat/worker_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace varserve::chat {
namespace {

TEST(WorkerPoolTest, RunsEverythingItAcceptedBeforeItEnds) {
  std::atomic<int> runs = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(pool.Submit(i % 2 == 0 ? "anna" : "ben", [&runs] { ++runs; }));
  }
  EXPECT_EQ(runs, 100);
}

TEST(WorkerPoolTest, LetsGoOfWorkOnceItIsDone) {
  const auto held = std::make_shared<int>(0);
  absl::Notification done;
  WorkerPool pool(1);
  pool.Submit("anna", [held] { ++*held; });
  pool.Submit("anna", [&done] { done.Notify(); });
  done.WaitForNotification();
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

// What runs one after the other on one thread, "a1" being the first work of caller a.
TEST(WorkerPoolTest, CallersTakeTurns) {
  absl::Notification all_submitted;
  std::vector<std::string> order;
  {
    WorkerPool pool(1);
    pool.Submit("z", [&] { all_submitted.WaitForNotification(); });
    for (const std::string name : {"a1", "a2", "a3", "b1", "b2", "c1"}) {
      pool.Submit(name.substr(0, 1), [&order, name] { order.push_back(name); });
    }
    all_submitted.Notify();
  }
  EXPECT_EQ(order, (std::vector<std::string>{"a1", "b1", "c1", "a2", "b2", "a3"}));
}

TEST(WorkerPoolTest, NobodyHasAllThreads) {
  absl::Notification end;
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  {
    WorkerPool pool(3);
    for (int i = 0; i < 5; ++i) {
      pool.Submit("a", [&] {
        most = std::max(most.load(), ++running);
        end.WaitForNotification();
        --running;
      });
    }
    absl::Notification others;
    pool.Submit("b", [&] { others.Notify(); });
    others.WaitForNotification();
    end.Notify();
  }
  EXPECT_LE(most, 2);
}

}  // namespace
}  // namespace varserve::chat
