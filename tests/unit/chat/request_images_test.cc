// Pictures of many requests in one memory; that a picture keeps to its own part is decode_cost_test's.
#include "server/chat/request_images.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/files.h"
#include "tests/testing/picture_files.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::chat {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class RequestImagesTest : public ::testing::Test {
 protected:
  int64_t Cost(const std::string& file) const { return preprocessor_->MeasureImage(file, {})->peak; }
  int64_t kept() const { return preprocessor_->MeasureImage(cheap_, {})->kept; }
  auto Process(const std::vector<EncodedImage>& images, ByteBudget& memory, Stop stop = NeverStop) const {
    return ProcessImages(*preprocessor_, images, {}, memory, stop, [](size_t, const auto&) {});
  }

  const std::unique_ptr<const Preprocessor> preprocessor_ = varserve::testing::LoadSmallPreprocessor();
  const std::string cheap_ = varserve::testing::JpegKinds()[0].make(60, 40, 1);
  const std::string costly_ = varserve::testing::JpegKinds()[8].make(300, 200, 6);  // progressive
};

TEST_F(RequestImagesTest, ResultsKeepTheirPartUntilTheLastReference) {
  ByteBudget memory(1 << 20);
  auto images = Process({{"one", cheap_}, {"two", costly_}, {"three", cheap_}}, memory);
  ASSERT_TRUE(images.ok()) << images.status();
  ASSERT_EQ(images->size(), 3);
  EXPECT_EQ((*images)[0]->digest, (*images)[2]->digest);
  EXPECT_NE((*images)[0]->digest, (*images)[1]->digest);
  EXPECT_EQ(memory.free(), memory.size() - 3 * kept());
  const std::shared_ptr<const ProcessedImage> last = (*images)[1];
  images->clear();
  EXPECT_EQ(memory.free(), memory.size() - kept());
}

TEST_F(RequestImagesTest, KnownResultsAreNotMadeAgain) {
  ByteBudget memory(1 << 20);
  std::vector<size_t> decoded;
  const std::shared_ptr<const ProcessedImage> known = *preprocessor_->ProcessImage(cheap_, {}, NeverStop);
  const auto images = ProcessImages(
      *preprocessor_, std::vector<EncodedImage>{{"one", cheap_, nullptr}, {"two", "not read", known}}, {},
      memory, NeverStop, [&](size_t index, const auto& /*image*/) { decoded.push_back(index); });
  ASSERT_TRUE(images.ok()) << images.status();
  EXPECT_EQ((*images)[1]->digest, (*images)[0]->digest);
  EXPECT_EQ(decoded, std::vector<size_t>({0}));
  // It has its part of the memory like any other, which whoever else knows it does not hold.
  EXPECT_EQ(memory.free(), memory.size() - 2 * kept());
}

TEST_F(RequestImagesTest, NoPicturesWaitForNothing) {
  ByteBudget memory(10);
  const auto all = memory.Acquire(10, NeverStop);
  EXPECT_TRUE(Process({}, memory)->empty());
}

// Results of all, and of the decoders only the largest.
TEST_F(RequestImagesTest, TakesWhatOneAfterTheOtherNeed) {
  ByteBudget memory(Cost(costly_) + 3 * kept());
  EXPECT_TRUE(Process({{"one", costly_}, {"two", costly_}, {"three", cheap_}}, memory).ok());
  EXPECT_EQ(memory.free(), memory.size());

  const absl::Status refused =
      Process({{"one", cheap_}, {"two", costly_}, {"three", cheap_}, {"four", cheap_}}, memory).status();
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              AllOf(StartsWith("two: decoding it takes " + std::to_string(Cost(costly_)) + " bytes"),
                    HasSubstr(std::to_string(memory.size() + kept())),
                    HasSubstr(std::to_string(memory.size())), HasSubstr("baseline JPEG")));
}

TEST_F(RequestImagesTest, NamesThePictureThatIsWrong) {
  ByteBudget memory(1 << 20);
  const std::string cut = cheap_.substr(0, cheap_.size() - 20);
  for (const std::string& wrong : {cut, std::string("nothing")}) {
    const absl::Status refused = Process({{"one", cheap_}, {"two", wrong}}, memory).status();
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()),
                AnyOf(StartsWith("two: damaged or unsupported "), StartsWith("two: neither JPEG nor PNG")));
    EXPECT_EQ(memory.free(), memory.size());
  }
}

TEST_F(RequestImagesTest, WaitsUntilThereIsRoom) {
  ByteBudget memory(1 << 20);
  auto all = memory.Acquire(memory.size(), NeverStop);
  absl::Notification waits;
  std::thread request([&] {
    int looks = 0;
    EXPECT_TRUE(Process({{"one", cheap_}}, memory, [&] {
                  if (++looks == 3) waits.Notify();
                  return absl::OkStatus();
                }).ok());
  });
  waits.WaitForNotification();
  all->ShrinkTo(0);
  request.join();
}

TEST_F(RequestImagesTest, StopsWhileItWaitsAndBetweenPictures) {
  ByteBudget memory(1 << 20);
  {
    const auto all = memory.Acquire(memory.size(), NeverStop);
    int looks = 0;
    const auto give_up = [&] { return ++looks < 4 ? absl::OkStatus() : absl::DeadlineExceededError("late"); };
    EXPECT_EQ(Process({{"one", cheap_}}, memory, give_up).status(), absl::DeadlineExceededError("late"));
  }
  int looks = 0;
  const auto count = [&] { return ++looks, absl::OkStatus(); };
  ASSERT_TRUE(Process({{"one", cheap_}, {"two", cheap_}}, memory, count).ok());
  for (int last = 1; last <= looks; ++last) {
    int left = last;
    const auto stop = [&] { return --left > 0 ? absl::OkStatus() : absl::CancelledError("enough"); };
    EXPECT_EQ(Process({{"one", cheap_}, {"two", cheap_}}, memory, stop).status(),
              absl::CancelledError("enough"));
    EXPECT_EQ(left, 0) << "goes on after look " << last;
    EXPECT_EQ(memory.free(), memory.size());
  }
}

TEST_F(RequestImagesTest, ManyRequestsShareALittle) {
  ByteBudget memory(Cost(costly_) + 4 * kept());
  std::vector<std::thread> requests;
  for (int t = 0; t < 6; ++t) {
    requests.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        const auto images = Process({{"one", t % 2 == 0 ? cheap_ : costly_}, {"two", cheap_}}, memory);
        EXPECT_TRUE(images.ok()) << images.status();
      }
    });
  }
  for (std::thread& request : requests) request.join();
  EXPECT_EQ(memory.free(), memory.size());
}

}  // namespace
}  // namespace varserve::chat
