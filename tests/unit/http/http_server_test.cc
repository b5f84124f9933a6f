#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/base/digest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/gate.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/tcp_peer.h"

namespace varserve::http {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using varserve::testing::FakeModelRunner;
using varserve::testing::InProcessOptions;
using varserve::testing::InProcessServer;
using varserve::testing::TcpPeer;

// A POST that closes its connection after the reply, with these fields in addition to a question.
std::string Post(const json& fields = json::object()) {
  json body = {{"model", "test"},
               {"messages", {{{"role", "user"}, {"content", "Hello"}}}},
               {"max_tokens", 5},
               {"ignore_eos", true}};
  body.update(fields);
  const std::string text = body.dump();
  return absl::StrCat(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: "
      "application/json\r\n",
      "Content-Length: ", text.size(), "\r\n\r\n", text);
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(InProcessOptions options = {}) {
    runner_.fault = [this](const engine::StepPlan&) {
      gate_.Pass();
      return absl::OkStatus();
    };
    server_ =
        std::make_unique<InProcessServer>(&runner_, testing::LoadSmallPreprocessor(), std::move(options));
  }
  // The whole reply.
  std::string Ask(const std::string& request) const {
    const TcpPeer peer(server_->http_port());
    EXPECT_TRUE(peer.Send(request));
    return peer.ReadToEnd().value_or("no end");
  }
  void WaitForEnds(const std::string& code, int count) {
    while (server_->Metric("requests_total", code) < count) absl::SleepFor(absl::Milliseconds(1));
  }

  FakeModelRunner runner_{FakeModelRunner::LongContextFacts()};
  varserve::testing::Gate gate_;
  std::unique_ptr<InProcessServer> server_;
};

TEST_F(HttpServerTest, AnswersWholeAndInPieces) {
  Start();
  const std::string whole = Ask(Post());
  EXPECT_THAT(whole, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(json::parse(whole.substr(whole.find("\r\n\r\n") + 4))["usage"]["completion_tokens"], 5);
  const std::string stream = Ask(Post({{"stream", true}}));
  EXPECT_THAT(stream, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(stream, HasSubstr("\"finish_reason\":\"length\""));
  EXPECT_TRUE(absl::EndsWith(stream, "data: [DONE]\n\n\r\n0\r\n\r\n")) << stream;
  EXPECT_EQ(server_->Metric("requests_total", "ChatCompletions"), 2);
}

TEST_F(HttpServerTest, APictureIsNamedOnceItWasSent) {
  Start({.chat = {.image_cache = 1 << 20}});
  const std::string picture = ReadFile(RepositoryPath("tests/golden/images/files/photo.jpg"));
  const auto post = [](const std::string& url) {
    const json content = {{{"type", "image_url"}, {"image_url", {{"url", url}}}},
                          {{"type", "text"}, {"text", "What?"}}};
    return Post({{"messages", {{{"role", "user"}, {"content", content}}}}});
  };
  const std::string name = absl::StrCat("sha256:", absl::BytesToHexString(BytesOf(Sha256({picture}))));
  const std::string missing = Ask(post(name));
  EXPECT_THAT(missing, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(missing, HasSubstr("\"code\":\"image_not_found\""));
  EXPECT_THAT(missing, HasSubstr("\"param\":\"messages[0].content[0].image_url.url\""));
  const auto answer = [&](const std::string& url) {
    const std::string reply = Ask(post(url));
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
    return json::parse(reply.substr(reply.find("\r\n\r\n") + 4))["choices"];
  };
  const json sent = answer(absl::StrCat("data:image/jpeg;base64,", absl::Base64Escape(picture)));
  EXPECT_EQ(answer(name), sent);
  EXPECT_EQ(server_->Metric("image_cache_hits_total"), 1);
}

TEST_F(HttpServerTest, AModelsNameMayBePercentEncoded) {
  InProcessOptions options;
  options.description.set_name("our/model 1");
  options.description.mutable_var_profile();
  Start(std::move(options));
  const auto get = [this](const std::string& name) {
    return Ask(absl::StrCat("GET /v1/models/", name, " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
  };
  for (const char* name :
       {"our/model%201", "our%2Fmodel%201", "our%2fmodel%201%2Bvar", "%6Fur/model%201+var"}) {
    const std::string reply = get(name);
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n")) << name;
    EXPECT_THAT(reply, HasSubstr("\"id\":\"our/model 1")) << name;
  }
  EXPECT_THAT(get("our/model%25201"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(get("our/model+1"), StartsWith("HTTP/1.1 404 "));
  for (const char* name : {"our/model%2", "our/model%", "our/model%zz1", "%%"}) {
    const std::string reply = get(name);
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 400 ")) << name;
    EXPECT_THAT(reply, HasSubstr("\"param\":\"model\"")) << name;
  }
}

TEST_F(HttpServerTest, ManyAtOnce) {
  Start();
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([this, i] {
      for (int j = 0; j < 10; ++j) {
        EXPECT_THAT(Ask(Post({{"stream", (i + j) % 2 == 0}, {"n", 1 + j % 3}})),
                    StartsWith("HTTP/1.1 200 OK\r\n"));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST_F(HttpServerTest, WhoLeavesIsCancelled) {
  Start();
  gate_.Close();
  {
    const TcpPeer waiting(server_->http_port());
    ASSERT_TRUE(waiting.Send(Post({{"max_tokens", 8000}})));
    gate_.WaitForArrival();
    const TcpPeer sending(server_->http_port());
    ASSERT_TRUE(sending.Send(Post().substr(0, 200)));
  }
  gate_.Open();
  WaitForEnds("CANCELLED", 2);
  server_->WaitUntilIdle();
  EXPECT_EQ(server_->Metric("kv_cache_usage_ratio"), 0);
}

TEST_F(HttpServerTest, ARefusedRequestIsNotAskedForItsBody) {
  Start();
  EXPECT_THAT(Ask("POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                  "Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, RequestsMayBeSentAhead) {
  Start();
  gate_.Close();
  const std::string first =
      absl::StrReplaceAll(Post({{"max_tokens", 50}}), {{"Connection: close", "Connection: keep-alive"}});
  const TcpPeer peer(server_->http_port());
  ASSERT_TRUE(peer.Send(first));
  gate_.WaitForArrival();
  ASSERT_TRUE(peer.Send("GET /v1/models HTTP/1.1\r\nHost: test\r\n\r\n"));
  gate_.Open();
  while (server_->Metric("requests_total", "ListModels") < 1) absl::SleepFor(absl::Milliseconds(1));
  ASSERT_TRUE(peer.Send("GET /v1/models/test HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
  const std::string replies = peer.ReadToEnd().value_or("no end");
  EXPECT_THAT(replies, StartsWith("HTTP/1.1 200 OK\r\n"));
  const size_t list = replies.find("HTTP/1.1 200 OK", 1);
  const size_t model = replies.find("HTTP/1.1 200 OK", list + 1);
  ASSERT_NE(model, std::string::npos) << replies;
  EXPECT_THAT(replies.substr(0, list), HasSubstr("\"completion_tokens\":50"));
  EXPECT_THAT(replies.substr(list, model - list), HasSubstr("\"object\":\"list\""));
  EXPECT_THAT(replies.substr(model), HasSubstr("\r\n\r\n{\"created\""));
}

class SlowReaderTest : public HttpServerTest {
 protected:
  SlowReaderTest() {
    runner_.edit_output = [](engine::StepOutput& output) {
      for (engine::SequenceResult& result : output.results) {
        if (!result.token.has_value()) continue;
        result.token->id = 800;
        result.token->top.assign(20, {65, -1.5F});
      }
    };
  }
  // Asks for a reply of some megabytes.
  void AskForMuch(TcpPeer& slow, bool stream) const {
    slow.SetReceiveBuffer(4096);
    ASSERT_TRUE(slow.Connect(server_->http_port()));
    ASSERT_TRUE(slow.Send(
        Post({{"max_tokens", 8000}, {"stream", stream}, {"logprobs", true}, {"top_logprobs", 20}})));
  }
};

TEST_F(SlowReaderTest, OfAStreamIsDisconnected) {
  InProcessOptions options;
  options.calls.write_timeout = absl::Milliseconds(200);
  Start(std::move(options));
  TcpPeer slow;
  AskForMuch(slow, /*stream=*/true);
  WaitForEnds("CANCELLED", 1);
  EXPECT_THAT(Ask(Post()), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(SlowReaderTest, OfAWholeReplyIsDisconnected) {
  InProcessOptions options;
  options.http.connection.reply_timeout = absl::Milliseconds(200);
  Start(std::move(options));
  TcpPeer slow;
  AskForMuch(slow, /*stream=*/false);
  std::string reply;
  for (int i = 0; i < 100; ++i) {
    reply += slow.Read(4096);
    absl::SleepFor(absl::Milliseconds(10));
  }
  reply += slow.ReadToEnd().value_or("");
  const std::string field = "Content-Length: ";
  ASSERT_THAT(reply, HasSubstr(field));
  const size_t from = reply.find(field) + field.size();
  size_t length = 0;
  ASSERT_TRUE(absl::SimpleAtoi(reply.substr(from, reply.find("\r\n", from) - from), &length));
  EXPECT_LT(reply.size(), length);
}

TEST_F(HttpServerTest, AFailureInTheMiddleEndsTheStreamWithAnError) {
  Start();
  const TcpPeer peer(server_->http_port());
  gate_.Close();
  int steps = 0;
  runner_.fault = [&](const engine::StepPlan&) {
    if (++steps < 4) return absl::OkStatus();
    gate_.Pass();
    return absl::InternalError("broken");
  };
  ASSERT_TRUE(peer.Send(Post({{"stream", true}, {"max_tokens", 50}})));
  ASSERT_TRUE(peer.WaitForBytes());
  gate_.Open();
  const std::string reply = peer.ReadToEnd().value_or("no end");
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(reply, HasSubstr("data: {\"error\":{"));
  EXPECT_THAT(reply, ::testing::Not(HasSubstr("[DONE]")));
}

TEST_F(HttpServerTest, EndsWithCallsInEveryState) {
  Start();
  gate_.Close();
  const TcpPeer idle(server_->http_port());
  const TcpPeer head(server_->http_port());
  ASSERT_TRUE(head.Send("POST /v1"));
  const TcpPeer body(server_->http_port());
  ASSERT_TRUE(body.Send(Post().substr(0, 200)));
  const TcpPeer running(server_->http_port());
  ASSERT_TRUE(running.Send(Post({{"max_tokens", 8000}})));
  gate_.WaitForArrival();
  gate_.Open();
  server_->Stop();
  EXPECT_TRUE(idle.ReadToEnd().has_value());
  EXPECT_TRUE(head.ReadToEnd().has_value());
  EXPECT_TRUE(body.ReadToEnd().has_value());
  EXPECT_TRUE(running.ReadToEnd().has_value());
}

}  // namespace
}  // namespace varserve::http
