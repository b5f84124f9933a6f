// /metrics answers, whatever else is connected to it.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/process_usage.h"
#include "tests/testing/servable_model.h"
#include "tests/testing/tcp_peer.h"

namespace varserve::testing {
namespace {

TEST(ScrapeTest, IsAnsweredBesidePeersThatDoNothing) {
  const ServableModel model;
  ServerProcess server(model.dir());
  ASSERT_TRUE(server.WaitUntilReady());
  const int64_t threads = ProcessStatus(server.pid(), "Threads");
  std::deque<TcpPeer> peers;
  for (int i = 0; i < 100; ++i) peers.emplace_back(server.metrics_port());
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(peers.emplace_back(server.metrics_port()).Send("GET /metrics HTTP/1.1\r\n"));
  const auto client = server.Connect();
  for (int i = 1; i <= 10; ++i) {
    ASSERT_TRUE(Ask(*client, LongQuestion(1)).ok());
    EXPECT_EQ(server.Metric("varserve_requests_total", "code=\"OK\""), i);
  }
  EXPECT_LT(ProcessStatus(server.pid(), "Threads"), threads + 30) << "of gRPC's; none for each peer";
}

}  // namespace
}  // namespace varserve::testing
