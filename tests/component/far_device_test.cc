// What the far device finds, so that tests that pass on it say something.
#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <gmock/gmock.h>

#include <cmath>

#include "tests/testing/far_graph.h"
#include "tests/testing/far_memory.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class FarDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (TestDevice() != "far") GTEST_SKIP() << "far_device_test runs this";
  }
  static c10::impl::VirtualGuardImpl Streams() { return c10::impl::VirtualGuardImpl(kFar); }
  static c10::Stream NewStream() { return Streams().getStreamFromGlobalPool({kFar, 0}); }
  static at::Tensor Ones() { return at::ones({4}, at::TensorOptions().device(kFar)); }
  // The message of the problem in recording `work`.
  static std::string Record(const std::function<void()>& work) {
    const c10::StreamGuard guard(NewStream());
    return std::string(MakeFarRecorder()->Record(work).status().message());
  }
};

TEST_F(FarDeviceTest, NewMemoryIsNan) {
  EXPECT_TRUE(std::isnan(at::empty({4}, at::TensorOptions().device(kFar))[0].item<float>()));
}

TEST_F(FarDeviceTest, ACopyThatIsNotWaitedForIsLate) {
  at::Tensor host = at::zeros({4});
  host.copy_(Ones(), /*non_blocking=*/true);
  EXPECT_TRUE(std::isnan(host[0].item<float>()));
  Streams().getStream({kFar, 0}).synchronize();
  EXPECT_EQ(host[0].item<float>(), 1);
}

TEST_F(FarDeviceTest, PinnedMemoryKeepsItsValues) {
  at::Tensor host = at::empty({4}, at::TensorOptions().pinned_memory(true)).zero_();
  at::Tensor far = Ones();
  far.copy_(host, /*non_blocking=*/true);
  host.fill_(2);
  EXPECT_THAT([&] { far.cpu(); }, ThrowsMessage<c10::Error>(HasSubstr("pinned memory changed")));
}

TEST_F(FarDeviceTest, TensorsOfTheHostAreRefused) {
  EXPECT_THAT([] { Ones().index_select(0, at::zeros({1}, at::kLong)); },
              ThrowsMessage<c10::Error>(HasSubstr("tensors of the host and of the device")));
}

TEST_F(FarDeviceTest, AnotherStreamMustBeWaitedFor) {
  const at::Tensor far = Ones();  // on the default stream
  const c10::Stream before = Streams().getStream({kFar, 0});
  const c10::StreamGuard guard(NewStream());
  EXPECT_THAT([&] { far.add(1); }, ThrowsMessage<c10::Error>(HasSubstr("another stream's work")));
  before.synchronize();
  EXPECT_EQ(far.add(1)[0].item<float>(), 2);
}

TEST_F(FarDeviceTest, MemoryMustNotBeFreedWhileAnotherStreamUsesIt) {
  at::Tensor far = Ones();
  Streams().getStream({kFar, 0}).synchronize();
  const c10::StreamGuard guard(NewStream());
  const at::Tensor sum = far.add(1);
  far = at::Tensor();
  EXPECT_THAT([&] { sum.cpu(); }, ThrowsMessage<c10::Error>(HasSubstr("memory was freed")));
}

TEST_F(FarDeviceTest, GraphsRefuseWhatTheyCannotRepeat) {
  const at::Tensor far = Ones();
  const at::Tensor first = at::zeros({1}, at::TensorOptions().dtype(at::kLong).device(kFar));
  Streams().getStream({kFar, 0}).synchronize();
  EXPECT_THAT(Record([&] { far.index_select(0, first); }), HasSubstr("allocates its result"));
  EXPECT_THAT(Record([&] { far.add(1); }), HasSubstr("an allocation"));
  EXPECT_THAT(Record([&] { far.cpu(); }), HasSubstr("a copy between"));
  EXPECT_THAT(Record([&] { far[0].item(); }), HasSubstr("reading"));
  EXPECT_THAT(Record([&] { Streams().getStream({kFar, 0}).synchronize(); }), HasSubstr("waiting"));
}

TEST_F(FarDeviceTest, GraphsWorkOnTheSameMemory) {
  at::Tensor far = Ones();
  Streams().getStream({kFar, 0}).synchronize();
  const c10::StreamGuard guard(NewStream());
  const auto graph = MakeFarRecorder()->Record([far]() mutable { far.add_(1); });
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(far[0].item<float>(), 1) << "recording does nothing";
  (*graph)->Launch();
  (*graph)->Launch();
  EXPECT_EQ(far[0].item<float>(), 3);
  far = at::Tensor();
  EXPECT_THAT([&] { (*graph)->Launch(); }, ThrowsMessage<c10::Error>(HasSubstr("was freed")));
}

}  // namespace
}  // namespace varserve::testing
