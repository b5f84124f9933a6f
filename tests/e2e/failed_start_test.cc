// A start that fails says why and ends with exit code 1, whoever watches.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "client/inference_client.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/tcp_peer.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using Health = grpc::health::v1::HealthCheckResponse;

// Watches the health of a service until the server goes away.
class HealthWatcher {
 public:
  HealthWatcher(const std::string& address, const std::string& service)
      : stub_(grpc::health::v1::Health::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    stream_ = stub_->Watch(&context_, request);
    Read();
  }
  ~HealthWatcher() {
    context_.TryCancel();
    (void)stream_->Finish();
  }

  Health::ServingStatus status() const { return status_; }
  bool Read() {
    Health response;
    if (!stream_->Read(&response)) return false;
    status_ = response.status();
    return true;
  }

 private:
  const std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Health>> stream_;
  Health::ServingStatus status_ = Health::UNKNOWN;
};

class FailedStartTest : public ::testing::Test {
 protected:
  // The server reads its weights from a pipe, and so loads until somebody opens its other end.
  FailedStartTest() : pipe_(model_.dir() + "/model.safetensors") {
    model_.Remove("model.safetensors");
    EXPECT_EQ(mkfifo(pipe_.c_str(), 0600), 0);
  }
  void LetTheStartFail() const {
    const int fd = open(pipe_.c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    close(fd);
  }

  const ServableModel model_;
  const std::string pipe_;
};

TEST_F(FailedStartTest, EndsWhoeverWatches) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitForLog("/metrics"));
  HealthWatcher live(server.address(), "");
  HealthWatcher ready(server.address(), client::InferenceClient::kService);
  EXPECT_EQ(live.status(), Health::SERVING);
  EXPECT_EQ(ready.status(), Health::NOT_SERVING);
  std::deque<TcpPeer> idle;
  for (int i = 0; i < 10; ++i) idle.emplace_back(server.port());
  std::atomic<bool> ended = false;
  std::thread scraper([&] {
    while (!ended) (void)server.Metrics();
  });

  LetTheStartFail();
  EXPECT_EQ(server.WaitForExit(), 1);
  ended = true;
  scraper.join();
  EXPECT_THAT(server.Log(), HasSubstr("Z error   "));
  EXPECT_THAT(server.Log(), HasSubstr("model.safetensors"));
  EXPECT_TRUE(live.Read());
  EXPECT_EQ(live.status(), Health::NOT_SERVING);
  while (live.Read() || ready.Read()) EXPECT_EQ(ready.status(), Health::NOT_SERVING);
}

TEST_F(FailedStartTest, ASignalDoesNotMakeItASuccess) {
  ServerProcess server(model_.dir());
  ASSERT_TRUE(server.WaitForLog("/metrics"));
  const HealthWatcher live(server.address(), "");
  LetTheStartFail();
  ASSERT_TRUE(server.WaitForLog("Z error   "));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 1);
}

}  // namespace
}  // namespace varserve::testing
