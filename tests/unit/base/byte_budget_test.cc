#include "server/base/byte_budget.h"

#include <atomic>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace varserve {
namespace {

using Lease = ByteBudget::Lease;

Lease Take(ByteBudget& budget, int64_t bytes) {
  absl::StatusOr<Lease> lease = budget.Acquire(bytes, NeverStop);
  EXPECT_TRUE(lease.ok()) << lease.status();
  return *std::move(lease);
}

TEST(ByteBudgetTest, GivesAndTakesBack) {
  ByteBudget budget(100);
  {
    Lease lease = Take(budget, 60);
    EXPECT_EQ(lease.bytes(), 60);
    EXPECT_EQ(budget.free(), 40);
    Lease other = std::move(lease);
    EXPECT_EQ(lease.bytes(), 0);  // NOLINT: what is moved from is empty
    EXPECT_EQ(budget.free(), 40);
    other = Take(budget, 10);  // gives the 60 back, once it has the 10
    EXPECT_EQ(budget.free(), 90);
    other = {};
    EXPECT_EQ(budget.free(), 100);
    const Lease all = Take(budget, 100);
    const Lease none = Take(budget, 0);
    EXPECT_EQ(budget.free(), 0);
  }
  EXPECT_EQ(budget.free(), 100);
}

TEST(ByteBudgetTest, LeasesSplitAndShrink) {
  ByteBudget budget(100);
  Lease lease = Take(budget, 90);
  Lease part = lease.Split(30);
  EXPECT_EQ(budget.free(), 10);
  lease.ShrinkTo(20);
  EXPECT_EQ(budget.free(), 50);
  lease.ShrinkTo(25);  // no more than it is
  EXPECT_EQ(lease.bytes(), 20);
  Lease rest = lease.Split(1000);
  EXPECT_EQ(rest.bytes(), 20);
  EXPECT_EQ(lease.bytes(), 0);
  rest = {};
  EXPECT_EQ(budget.free(), 70);
  part = {};
  EXPECT_EQ(budget.free(), 100);
}

TEST(ByteBudgetTest, RefusesWhatItNeverHas) {
  ByteBudget budget(100);
  const absl::Status status = budget.Acquire(101, NeverStop).status();
  EXPECT_EQ(status, absl::InvalidArgumentError("101 bytes are more than the 100 there are"));
}

TEST(ByteBudgetTest, AsksBeforeItGives) {
  ByteBudget budget(100);
  EXPECT_TRUE(absl::IsCancelled(budget.Acquire(1, [] { return absl::CancelledError(); }).status()));
  EXPECT_EQ(budget.free(), 100);
}

TEST(ByteBudgetTest, WaitingEndsWhenItIsToldTo) {
  ByteBudget budget(100);
  const Lease lease = Take(budget, 90);
  int looks = 0;
  const absl::Status late =
      budget.Acquire(20, [&] { return ++looks < 3 ? absl::OkStatus() : absl::DeadlineExceededError("late"); })
          .status();
  EXPECT_EQ(late, absl::DeadlineExceededError("late"));
  EXPECT_EQ(looks, 3);
  EXPECT_EQ(Take(budget, 10).bytes(), 10) << "nobody waits any more";
}

TEST(ByteBudgetTest, AnExceptionLeavesTheQueue) {
  ByteBudget budget(100);
  const Lease lease = Take(budget, 90);
  int looks = 0;
  const auto fail = [&]() -> absl::Status {
    if (++looks == 2) throw std::runtime_error("no");
    return absl::OkStatus();
  };
  EXPECT_THROW((void)budget.Acquire(20, fail), std::runtime_error);
  EXPECT_EQ(Take(budget, 10).bytes(), 10);
}

TEST(ByteBudgetTest, FirstComeFirstServed) {
  ByteBudget budget(100);
  Lease lease = Take(budget, 90);
  absl::Mutex mu;
  std::vector<int> order;
  std::vector<std::thread> threads;
  // The first wants all. Those after it want little, which is free.
  for (int i = 0; i < 3; ++i) {
    absl::Notification waits;
    threads.emplace_back([&, i] {
      int looks = 0;
      const absl::StatusOr<Lease> mine = budget.Acquire(i == 0 ? 100 : 5, [&] {
        if (++looks == 2) waits.Notify();
        return absl::OkStatus();
      });
      absl::MutexLock lock(&mu);
      order.push_back(i);
    });
    waits.WaitForNotification();
  }
  EXPECT_EQ(budget.free(), 10);
  lease = {};
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order.size(), 3);
  EXPECT_EQ(order.front(), 0);
}

// Many threads take, split, give up and fail: never more than there is, and in the end all is back.
TEST(ByteBudgetTest, HoldsUnderManyThreads) {
  constexpr int64_t kBytes = 1000;
  ByteBudget budget(kBytes);
  std::atomic<int64_t> held = 0;
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int round = 0; round < 200; ++round) {
        const auto bytes = static_cast<int64_t>(random() % (kBytes + 1));
        int patience = random() % 4 == 0 ? 2 : 1 << 30;
        absl::StatusOr<Lease> lease = budget.Acquire(
            bytes, [&] { return --patience > 0 ? absl::OkStatus() : absl::CancelledError("gave up"); });
        if (!lease.ok()) {
          EXPECT_TRUE(absl::IsCancelled(lease.status())) << lease.status();
          continue;
        }
        ++served;
        EXPECT_LE(held += bytes, kBytes);
        const auto half = bytes / 2;
        Lease part = lease->Split(half);
        held -= half;
        part = {};
        std::this_thread::yield();
        held -= lease->bytes();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.free(), kBytes);
  EXPECT_GT(served, 8 * 100);
}

}  // namespace
}  // namespace varserve
