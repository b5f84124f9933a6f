#include "server/transport/connection_acceptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/transport/peer.h"
#include "tests/testing/http2_client.h"
#include "tests/testing/temp_dir.h"

namespace varserve::transport {
namespace {

using ::testing::HasSubstr;

// A connection from an address of this machine.
class Caller {
 public:
  Caller(int port, const char* from = "127.0.0.1") : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own{.sin_family = AF_INET};
    inet_pton(AF_INET, from, &own.sin_addr);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&own), sizeof(own)), 0);
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  ~Caller() { close(fd_); }
  void Say(const std::string& text) {
    EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  bool ClosedWithin(int milliseconds) {
    pollfd file{.fd = fd_, .events = POLLIN};
    char byte = 0;
    return poll(&file, 1, milliseconds) == 1 && read(fd_, &byte, 1) <= 0;
  }
  std::string peer() const {
    sockaddr_storage own{};
    socklen_t size = sizeof(own);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size);
    return PeerOf(own);
  }

 private:
  const int fd_;
};

class ConnectionAcceptorTest : public ::testing::Test {
 protected:
  void Start(const std::string& address, int max_connections = 100) {
    auto acceptor = ConnectionAcceptor::Listen("listen", address, max_connections);
    ASSERT_TRUE(acceptor.ok()) << acceptor.status();
    acceptor_ = *std::move(acceptor);
    acceptor_->Start([this](int /*listener*/, int socket) {
      absl::MutexLock lock(&mu_);
      sockets_.push_back(socket);
    });
  }
  void TearDown() override {
    acceptor_.reset();
    absl::MutexLock lock(&mu_);
    for (const int socket : sockets_) close(socket);
    sockets_.clear();
  }
  // Until so many have been handed over.
  void WaitFor(size_t connections) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return sockets_.size() >= connections; };
    mu_.Await(absl::Condition(&there));
  }
  // As gRPC closes one.
  void Close(size_t connection) {
    absl::MutexLock lock(&mu_);
    close(sockets_[connection]);
    sockets_.erase(sockets_.begin() + static_cast<ptrdiff_t>(connection));
  }

  std::unique_ptr<ConnectionAcceptor> acceptor_;
  absl::Mutex mu_;
  std::vector<int> sockets_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ConnectionAcceptorTest, HandsConnectionsOver) {
  for (const char* address : {"127.0.0.1:0", "0.0.0.0:0", "[::]:0", "localhost:0"}) {
    Start(address);
    EXPECT_GT(acceptor_->port(), 0) << address;
    EXPECT_EQ(acceptor_->local(), std::string(address).find("::") + std::string(address).find("0.0.0.0:") ==
                                      2 * std::string::npos)
        << address;
    const Caller caller(acceptor_->port());
    WaitFor(1);
    acceptor_->Stop();
    TearDown();
  }
}

TEST_F(ConnectionAcceptorTest, SaysWhyItCannotListen) {
  Start("127.0.0.1:0");
  const std::string taken = "127.0.0.1:" + std::to_string(acceptor_->port());
  for (const std::string& address :
       {taken, std::string("127.0.0.1"), std::string("no.such.host.invalid:1"),
        "unix:" + std::string(200, 'x'), std::string("unix:"), std::string("unix:/dev/null"),
        std::string("127.0.0.1:70000"), std::string("127.0.0.1:http"), std::string("1.2.3.4:1")}) {
    const absl::Status status = ConnectionAcceptor::Listen("listen", address, 1).status();
    EXPECT_TRUE(absl::IsUnavailable(status)) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot listen on " + address));
  }
}

TEST_F(ConnectionAcceptorTest, APathBelongsToWhoListensThere) {
  const varserve::testing::TempDir dir;
  const std::string path = dir.path() + "/socket";
  Start("unix:" + path);
  const absl::Status second = ConnectionAcceptor::Listen("listen", "unix:" + path, 1).status();
  EXPECT_THAT(std::string(second.message()), HasSubstr("another process listens there"));
  // Somebody replaces it: that is not to be taken away.
  ASSERT_EQ(unlink(path.c_str()), 0);
  auto other = ConnectionAcceptor::Listen("listen", "unix:" + path, 1);
  ASSERT_TRUE(other.ok()) << other.status();
  acceptor_->Stop();
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
}

TEST_F(ConnectionAcceptorTest, ListensOnAPath) {
  const varserve::testing::TempDir dir;
  const std::string path = dir.path() + "/socket";
  for (int run = 0; run < 2; ++run) {
    Start("unix:" + path);
    const varserve::testing::Http2Client caller(0, path);
    EXPECT_FALSE(caller.closed());
    WaitFor(1);
    EXPECT_EQ(acceptor_->BytesReceived("unix:"), std::nullopt);
    EXPECT_TRUE(acceptor_->local());
    acceptor_->Stop();
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_F(ConnectionAcceptorTest, CountsWhatAConnectionHasReceived) {
  Start("127.0.0.1:0");
  Caller caller(acceptor_->port());
  WaitFor(1);
  EXPECT_EQ(acceptor_->BytesReceived(caller.peer()), 0);
  caller.Say(std::string(100'000, 'x'));
  while (acceptor_->BytesReceived(caller.peer()) != 100'000) std::this_thread::yield();
  EXPECT_EQ(acceptor_->BytesReceived("ipv4:127.0.0.1:1"), std::nullopt);
  Close(0);
  EXPECT_EQ(acceptor_->BytesReceived(caller.peer()), std::nullopt);
}

TEST_F(ConnectionAcceptorTest, TheIdlestOfWhoHasMostMakesRoom) {
  Start("127.0.0.1:0", 4);
  Caller honest(acceptor_->port(), "127.0.0.2");
  WaitFor(1);
  Caller talks(acceptor_->port());
  Caller silent(acceptor_->port());
  Caller other(acceptor_->port());
  WaitFor(4);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  talks.Say("x");
  other.Say("x");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  Caller another(acceptor_->port(), "127.0.0.3");
  WaitFor(5);
  EXPECT_TRUE(silent.ClosedWithin(5000));
  for (Caller* caller : {&honest, &talks, &other, &another}) EXPECT_FALSE(caller->ClosedWithin(0));
}

TEST_F(ConnectionAcceptorTest, ConnectionsThatAreGoneMakeRoom) {
  Start("127.0.0.1:0", 2);
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 10; ++i) {
    callers.push_back(std::make_unique<Caller>(acceptor_->port()));
    WaitFor(std::min(i + 1, 2));
    if (i > 0) Close(0);
    EXPECT_FALSE(callers.back()->ClosedWithin(0)) << i;
  }
}

}  // namespace
}  // namespace varserve::transport
