#include "server/grpc/reply_writer.h"

#include <numeric>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/gate.h"

namespace varserve::rpc {
namespace {

TEST(ReplyWriterTest, WritesInOrderAndToTheEnd) {
  std::vector<int> written;
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  {
    ReplyWriter writer;
    for (const int i : expected) writer.Post([&written, i] { written.push_back(i); });
  }
  EXPECT_EQ(written, expected);
}

TEST(ReplyWriterTest, WhoPostsDoesNotWait) {
  varserve::testing::Gate gate;
  gate.Close();
  std::thread::id thread;
  {
    ReplyWriter writer;
    writer.Post([&] {
      gate.Pass();
      thread = std::this_thread::get_id();
    });
    gate.WaitForArrival();
    for (int i = 0; i < 100; ++i) writer.Post([] {});
    gate.Open();
  }
  EXPECT_NE(thread, std::thread::id());
  EXPECT_NE(thread, std::this_thread::get_id());
}

}  // namespace
}  // namespace varserve::rpc
