#include "server/chat/image_cache.h"

#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace varserve::chat {
namespace {

constexpr int64_t kOne = 100 << 10;  // bytes of an image, more than what an entry takes in addition

Digest Name(int number) { return Sha256({std::to_string(number)}); }

std::shared_ptr<const ProcessedImage> Image(int64_t bytes = kOne) {
  auto image = std::make_shared<ProcessedImage>();
  image->rgb.resize(static_cast<size_t>(bytes));
  return image;
}

TEST(ImageCacheTest, FindsWhatTheSameCallerSent) {
  ImageCache cache(10 * kOne);
  const auto image = Image();
  EXPECT_TRUE(cache.Keep("a", Name(1), image));
  EXPECT_EQ(cache.Find("a", Name(1)), image);
  EXPECT_EQ(cache.Find("a", Name(2)), nullptr);
  EXPECT_EQ(cache.Find("b", Name(1)), nullptr) << "another caller's";
}

TEST(ImageCacheTest, KeepsTheSameImageOnce) {
  ImageCache cache(10 * kOne);
  EXPECT_TRUE(cache.Keep("a", Name(1), Image()));
  const int64_t bytes = cache.bytes();
  EXPECT_GT(bytes, kOne);
  EXPECT_TRUE(cache.Keep("a", Name(1), Image()));
  EXPECT_EQ(cache.bytes(), bytes);
  EXPECT_TRUE(cache.Keep("b", Name(1), Image()));
  EXPECT_EQ(cache.bytes(), 2 * bytes);
}

TEST(ImageCacheTest, DropsTheLeastRecentlyUsed) {
  ImageCache cache(kOne * 7 / 2);
  for (int i = 0; i < 3; ++i) cache.Keep("a", Name(i), Image());
  EXPECT_NE(cache.Find("a", Name(0)), nullptr);
  cache.Keep("a", Name(3), Image());
  EXPECT_NE(cache.Find("a", Name(0)), nullptr);
  EXPECT_EQ(cache.Find("a", Name(1)), nullptr);
  EXPECT_NE(cache.Find("a", Name(2)), nullptr);
  EXPECT_NE(cache.Find("a", Name(3)), nullptr);
}

TEST(ImageCacheTest, OneCallerCannotPushOutAnother) {
  ImageCache cache(kOne * 9 / 2);
  cache.Keep("few", Name(0), Image());
  for (int i = 0; i < 100; ++i) cache.Keep("many", Name(i), Image());
  EXPECT_NE(cache.Find("few", Name(0)), nullptr);
  EXPECT_NE(cache.Find("many", Name(99)), nullptr);
  // A newcomer takes from whoever has most.
  cache.Keep("new", Name(0), Image());
  EXPECT_NE(cache.Find("few", Name(0)), nullptr);
  EXPECT_NE(cache.Find("new", Name(0)), nullptr);
}

TEST(ImageCacheTest, WhatDoesNotFitDropsNothing) {
  ImageCache cache(3 * kOne);
  cache.Keep("a", Name(0), Image());
  EXPECT_FALSE(cache.Keep("a", Name(1), Image(4 * kOne)));
  EXPECT_NE(cache.Find("a", Name(0)), nullptr);
  ImageCache none(0);
  EXPECT_FALSE(none.enabled());
  EXPECT_FALSE(none.Keep("a", Name(0), Image(0)));
}

TEST(ImageCacheTest, ManyThreadsStayWithinIt) {
  ImageCache cache(8 * kOne);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string caller = std::to_string(t % 3);
      for (int i = 0; i < 200; ++i) {
        cache.Keep(caller, Name(i % 7), Image(kOne + 1000 * t));
        cache.Find(caller, Name(i % 5));
        EXPECT_LE(cache.bytes(), 8 * kOne);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace varserve::chat
