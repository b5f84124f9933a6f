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
    WorkerPool pool(3);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(pool.Submit([&runs] { ++runs; }));
  }
  EXPECT_EQ(runs, 100);
}

TEST(WorkerPoolTest, LetsGoOfWorkOnceItIsDone) {
  const auto held = std::make_shared<int>(0);
  absl::Notification done;
  WorkerPool pool(1);
  pool.Submit([held] { ++*held; });
  pool.Submit([&done] { done.Notify(); });
  done.WaitForNotification();
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace varserve::rpc
