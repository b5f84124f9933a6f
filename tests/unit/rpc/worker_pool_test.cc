#include "server/rpc/worker_pool.h"

#include <atomic>
#include <memory>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace varserve::rpc {
namespace {

TEST(WorkerPoolTest, RunsEverythingItAcceptedBeforeItEnds) {
  std::atomic<int> runs = 0;
  {
    WorkerPool pool(3, 1000);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(pool.Submit(1, [&runs] { ++runs; }));
  }
  EXPECT_EQ(runs, 100);
}

TEST(WorkerPoolTest, BoundsTheBytesThatWait) {
  absl::Notification started;
  absl::Notification go_on;
  int runs = 0;
  {
    WorkerPool pool(1, 10);
    ASSERT_TRUE(pool.Submit(1000, [&] {
      started.Notify();
      go_on.WaitForNotification();
    })) << "one is always taken";
    started.WaitForNotification();
    EXPECT_TRUE(pool.Submit(6, [&runs] { ++runs; }));
    EXPECT_FALSE(pool.Submit(5, [&runs] { ++runs; }));
    EXPECT_TRUE(pool.Submit(4, [&runs] { ++runs; }));
    EXPECT_FALSE(pool.Submit(1, [&runs] { ++runs; }));
    go_on.Notify();
  }
  EXPECT_EQ(runs, 2);
}

TEST(WorkerPoolTest, LetsGoOfWorkOnceItIsDone) {
  const auto held = std::make_shared<int>(0);
  absl::Notification done;
  WorkerPool pool(1, 10);
  pool.Submit(1, [held] { ++*held; });
  pool.Submit(1, [&done] { done.Notify(); });
  done.WaitForNotification();
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace varserve::rpc
