#include "server/telemetry/metrics_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/telemetry/metrics.h"
#include "tests/testing/tcp_peer.h"

namespace varserve::telemetry {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TcpPeer;

constexpr const char* kScrape = "GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: text/plain\r\n\r\n";

class MetricsServerTest : public ::testing::Test {
 protected:
  static std::unique_ptr<MetricsServer> Serve(std::string page,
                                              absl::Duration patience = MetricsServer::kPatience) {
    auto server = MetricsServer::Start(
        "127.0.0.1:0", [page = std::move(page)] { return page; }, patience);
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }
  static std::string Ask(const MetricsServer& server, absl::string_view request) {
    const TcpPeer peer(server.port());
    EXPECT_TRUE(peer.Send(request));
    return peer.ReadToEnd().value_or("no end");
  }
};

TEST_F(MetricsServerTest, AnswersAScrapeAndCloses) {
  const auto server = Serve("a 1\n");
  EXPECT_EQ(Ask(*server, kScrape),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: 4\r\nConnection: close\r\n\r\na 1\n");
  EXPECT_THAT(Ask(*server, "GET /metrics?x=y HTTP/1.0\n\n"), EndsWith("\r\n\r\na 1\n"));
}

TEST_F(MetricsServerTest, ServesTheMetrics) {
  Metrics metrics("m", "1");
  const auto server = MetricsServer::Start("127.0.0.1:0", [&] { return metrics.Text(); });
  ASSERT_TRUE(server.ok());
  metrics.OnHealth({.ready = true});
  EXPECT_THAT(Ask(**server, kScrape), HasSubstr("\nvarserve_ready{model=\"m\"} 1\n"));
}

TEST_F(MetricsServerTest, SaysWhatIsWrongWithARequest) {
  const auto server = Serve("a 1\n");
  EXPECT_THAT(Ask(*server, "GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(*server, "POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Ask(*server, "\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask(*server, "GET /metrics SMTP\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Ask(*server, std::string(MetricsServer::kMaxRequestBytes, 'x')), StartsWith("HTTP/1.1 431 "));
}

TEST_F(MetricsServerTest, ARequestMayComeInPieces) {
  const auto server = Serve("a 1\n");
  const TcpPeer peer(server->port());
  for (const char* c = kScrape; *c != '\0'; ++c) ASSERT_TRUE(peer.Send({c, 1}));
  EXPECT_THAT(peer.ReadToEnd().value_or("no end"), EndsWith("\r\n\r\na 1\n"));
}

TEST_F(MetricsServerTest, AnswersBesidePeersThatDoNothingAskByHalvesOrDoNotRead) {
  const std::string page(8 << 20, 'x');  // more than the system's buffers take
  const auto server = Serve(page);
  std::deque<TcpPeer> peers;
  for (int i = 0; i < 100; ++i) peers.emplace_back(server->port());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(peers.emplace_back(server->port()).Send("GET /metrics HTT"));
  for (int i = 0; i < 10; ++i) {
    TcpPeer& reads_nothing = peers.emplace_back();
    reads_nothing.SetReceiveBuffer(4096);
    ASSERT_TRUE(reads_nothing.Connect(server->port()));
    EXPECT_TRUE(reads_nothing.Send(kScrape));
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Ask(*server, kScrape).substr(0, 15), "HTTP/1.1 200 OK") << i;
}

TEST_F(MetricsServerTest, TheOldestGoesWhenAllPlacesAreTaken) {
  const auto server = Serve("a 1\n");
  std::deque<TcpPeer> peers;
  for (int i = 0; i < MetricsServer::kMaxConnections + 10; ++i) peers.emplace_back(server->port());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(peers[i].ReadToEnd(), "") << i;
  for (auto peer = peers.begin() + 10; peer != peers.end(); ++peer) {
    ASSERT_TRUE(peer->Send(kScrape));
    EXPECT_THAT(peer->ReadToEnd().value_or("no end"), EndsWith("a 1\n"));
  }
}

// However often they say something.
TEST_F(MetricsServerTest, PeersHaveOnlySoMuchTime) {
  const auto server = Serve(std::string(8 << 20, 'x'), absl::Milliseconds(50));
  const TcpPeer idle(server->port());
  EXPECT_EQ(idle.ReadToEnd(), "");

  const TcpPeer dribbles(server->port());
  while (dribbles.Send("x")) absl::SleepFor(absl::Milliseconds(5));

  TcpPeer reads_late;
  reads_late.SetReceiveBuffer(4096);
  ASSERT_TRUE(reads_late.Connect(server->port()));
  EXPECT_TRUE(reads_late.Send(kScrape));
  absl::SleepFor(absl::Milliseconds(500));
  const std::optional<std::string> rest = reads_late.ReadToEnd();
  ASSERT_TRUE(rest.has_value());
  EXPECT_LT(rest->size(), 8 << 20);
}

// What is asked for at a time is made once.
TEST_F(MetricsServerTest, AFloodOfRequestsMakesFewPages) {
  std::atomic<int> pages = 0;
  const auto server = MetricsServer::Start("127.0.0.1:0", [&] {
    ++pages;
    absl::SleepFor(absl::Milliseconds(20));
    return std::string("a 1\n");
  });
  ASSERT_TRUE(server.ok());
  std::deque<TcpPeer> peers;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(peers.emplace_back((*server)->port()).Send(kScrape));
  for (const TcpPeer& peer : peers) EXPECT_THAT(peer.ReadToEnd().value_or("no end"), EndsWith("a 1\n"));
  EXPECT_LT(pages, 100);
}

TEST_F(MetricsServerTest, SurvivesALackOfFileDescriptors) {
  const auto server = Serve("a 1\n");
  const TcpPeer early(server->port());
  ASSERT_TRUE(early.Send("GET"));
  EXPECT_THAT(Ask(*server, kScrape), EndsWith("a 1\n"));  // so the early one has been accepted
  const TcpPeer late;                                     // has its descriptor, and no connection yet
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const int first_free = dup(0);
  close(first_free);
  rlimit none_left = before;
  none_left.rlim_cur = static_cast<rlim_t>(first_free);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  ASSERT_TRUE(late.Connect(server->port()));
  ASSERT_TRUE(late.Send(kScrape));
  EXPECT_EQ(early.ReadToEnd(), "") << "the oldest makes room";
  EXPECT_THAT(late.ReadToEnd().value_or("no end"), EndsWith("a 1\n"));
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(Ask(*server, kScrape), EndsWith("a 1\n"));
}

TEST_F(MetricsServerTest, EndsBesidePeers) {
  auto server = Serve("a 1\n");
  const TcpPeer idle(server->port());
  server.reset();
  EXPECT_EQ(idle.ReadToEnd(), "");
}

TEST_F(MetricsServerTest, NamesTheAddressItCannotListenOn) {
  const auto page = [] { return std::string(); };
  for (const char* listen : {"", "9464", "here:port", "127.0.0.1:65536", "127.0.0.1:-1", "[::1:9464"}) {
    const auto server = MetricsServer::Start(listen, page);
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(std::string(server.status().message()), StartsWith("--metrics_listen: ")) << listen;
  }
  const auto first = Serve("");
  const std::string taken = absl::StrCat("127.0.0.1:", first->port());
  const auto second = MetricsServer::Start(taken, page);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(StartsWith(absl::StrCat("--metrics_listen: cannot listen on ", taken, ": ")),
                    EndsWith("; is the port taken?")));
}

TEST_F(MetricsServerTest, ListensOnIPv6WhereThereIsOne) {
  const auto server = MetricsServer::Start("[::]:0", [] { return std::string("a 1\n"); });
  if (!server.ok()) GTEST_SKIP() << server.status();
  EXPECT_THAT(Ask(**server, kScrape), EndsWith("a 1\n")) << "and on IPv4 with it";
}

}  // namespace
}  // namespace varserve::telemetry
