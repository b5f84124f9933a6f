#include "server/chat/url_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/synchronization/notification.h"
#include "server/engine/retry_delay.h"

namespace varserve::chat {
namespace {

using testing::StartsWith;

UrlImages::Options AllHosts() { return {.fetch = {.hosts = *fetch::HostList::Parse("*")}}; }

ChatRequest RequestWith(std::string url) {
  ChatRequest chat{};
  const static std::string kBytes = "bytes";
  chat.pictures.push_back({.field = "first", .bytes = &kBytes});
  chat.pictures.push_back({.field = "second", .bytes = nullptr, .url = std::move(url)});
  return chat;
}

TEST(UrlImagesTest, OnlyUrlsNeedToBeFetched) {
  EXPECT_TRUE(HasUrls(RequestWith("http://example.com/")));
  EXPECT_FALSE(HasUrls(RequestWith("")));
}

TEST(UrlImagesTest, ErrorsBeginWithThePicturesName) {
  ChatRequest chat = RequestWith("http://127.0.0.1:9/");
  const absl::Status refused = UrlImages({}).Check(chat);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), StartsWith("second: this server fetches no pictures"));

  UrlImages images(AllHosts());
  EXPECT_TRUE(images.Check(chat).ok());
  const absl::Status failed = images.Fetch(1000, NeverStop, chat);
  EXPECT_TRUE(absl::IsInvalidArgument(failed));
  EXPECT_THAT(std::string(failed.message()),
              StartsWith("second: its host has an address that is not public"));
}

TEST(UrlImagesTest, ACallerWhoLeavesIsNotWaitedFor) {
  ChatRequest chat = RequestWith("http://127.0.0.1:9/");
  EXPECT_TRUE(absl::IsCancelled(UrlImages(AllHosts())
                                    .Fetch(
                                        1000, [] { return absl::CancelledError("gone"); }, chat)));
}

TEST(UrlImagesTest, EachCallerHasALimit) {
  absl::Notification go_on;
  absl::Notification other_ran;
  UrlImages images(AllHosts());
  const auto wait = [&go_on] { go_on.WaitForNotification(); };
  int accepted = 0;
  absl::Status status;
  while (accepted < 1000 && (status = images.Submit("one", wait)).ok()) ++accepted;
  EXPECT_EQ(accepted, 64);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(engine::GetRetryDelay(status).has_value());

  // Others do not wait for this caller.
  EXPECT_TRUE(images.Submit("other", [&] { other_ran.Notify(); }).ok());
  other_ran.WaitForNotification();
  go_on.Notify();
}

}  // namespace
}  // namespace varserve::chat
