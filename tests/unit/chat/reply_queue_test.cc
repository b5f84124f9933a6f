#include "server/chat/reply_queue.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/chat/reply_size.h"

namespace varserve::chat {
namespace {

using ::testing::ElementsAre;

v1::GenerateResponse Delta(const std::string& text, uint32_t token) {
  v1::GenerateResponse response;
  response.mutable_delta()->set_text(text);
  response.mutable_delta()->add_token_ids(token);
  return response;
}

v1::GenerateResponse Finished() {
  v1::GenerateResponse response;
  response.mutable_finished();
  return response;
}

TEST(ReplyQueueTest, JoinsDeltasOfTheSameSetting) {
  ReplyQueue queue;
  queue.Push(0, Delta("a", 1));
  queue.Push(1, Delta("x", 7));
  queue.Push(0, Delta("b", 2));
  queue.Push(0, Finished());
  queue.Push(0, Delta("c", 3));

  const Reply first = queue.Pop();
  EXPECT_EQ(first.setting, 0U);
  EXPECT_EQ(first.response.delta().text(), "ab");
  EXPECT_THAT(first.response.delta().token_ids(), ElementsAre(1, 2));
  const Reply second = queue.Pop();
  EXPECT_EQ(second.setting, 1U);
  EXPECT_EQ(second.response.delta().text(), "x");
  EXPECT_TRUE(queue.Pop().response.has_finished());
  EXPECT_EQ(queue.Pop().response.delta().text(), "c") << "nothing joins across another message";
  EXPECT_TRUE(queue.empty());
}

TEST(ReplyQueueTest, DeltasStaySmall) {
  ReplyQueue queue;
  const std::string half(kMaxDeltaBytes / 2, 'a');
  for (uint32_t i = 0; i < 3; ++i) queue.Push(0, Delta(half, i));
  int replies = 0;
  for (; !queue.empty(); ++replies) EXPECT_LE(queue.Pop().response.delta().ByteSizeLong(), kMaxDeltaBytes);
  EXPECT_EQ(replies, 3);
}

}  // namespace
}  // namespace varserve::chat
