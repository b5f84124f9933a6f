// What pictures made to take memory do to the server: they wait, or are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/picture_files.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

v1::AnswerRequest About(const std::string& picture) {
  v1::AnswerRequest request = LongQuestion(2);
  request.mutable_images(0)->set_data(picture);
  return request;
}

TEST(PictureMemoryTest, LargePicturesAtOnceStayWithinTheirMemory) {
  constexpr int64_t kMemory = 64 << 10;  // kB
  constexpr int64_t kElse = 64 << 10;    // kB: messages, buffers of threads, what malloc keeps
  const ServableModel model;
  ServerProcess server(model.dir(),
                       {"--image_memory=64M", "--image_cache=0", "--worker_threads=4", "--threads=2"});
  ASSERT_TRUE(server.WaitUntilReady());
  ASSERT_TRUE(Ask(*server.Connect(), LongQuestion(2)).ok());
  const int64_t before = ProcessStatus(server.pid(), "VmHWM");

  // 200 to 250 MB each as a whole; and some that have to be held, 36 MB each.
  const std::string turned = BlankPng(8000, 8000, 6);
  const std::string progressive = JpegOfScans(3000, 2000, 10);
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      const absl::Status status = Ask(*server.Connect(), About(i % 2 == 0 ? turned : progressive));
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(ProcessStatus(server.pid(), "VmHWM") - before, kMemory + kElse);

  const absl::Status refused = Ask(*server.Connect(), About(JpegOfScans(8000, 8000, 2)));
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("images[0].data: decoding it takes 384"),
                                                    HasSubstr("67108864"), HasSubstr("--image_memory")));
}

}  // namespace
}  // namespace varserve::testing
