// The memory the server takes, the tokens it gives, and flags for both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/rpc_status.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class LimitsTest : public ::testing::Test {
 protected:
  const ServableModel model_;
};

// The bytes that "memory planned" says something takes.
int64_t Planned(const ServerProcess& server, const std::string& what) {
  const std::string log = server.Log();
  const size_t at = log.find(" " + what + "=");
  int64_t value = 0;
  EXPECT_NE(at, log.npos) << what;
  const size_t begin = at + what.size() + 2;
  EXPECT_TRUE(absl::SimpleAtoi(log.substr(begin, log.find_first_of(" \n", begin) - begin), &value));
  return value;
}

TEST_F(LimitsTest, Memory) {
  int64_t block = 0;
  int64_t fixed = 0;
  {
    ServerProcess server(model_.dir());
    ASSERT_TRUE(server.WaitUntilReady());
    block = (Planned(server, "kv_cache_bytes") + Planned(server, "evidence_bytes")) /
            (Planned(server, "kv_cache_tokens") / 16);
    fixed = Planned(server, "weights_bytes") + Planned(server, "vision_tower_bytes") +
            Planned(server, "step_bytes") + Planned(server, "image_bytes") +
            Planned(server, "request_bytes") + Planned(server, "reply_bytes");
    EXPECT_THAT(server.Log(), HasSubstr("\n  KV cache ")) << "a table for people";
  }
  ServerProcess server(model_.dir(), {absl::StrCat("--memory_budget=", fixed + 12 * block)});
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_EQ(Planned(server, "kv_cache_tokens"), 12 * 16);
  const auto client = server.Connect();
  const absl::Status never = Ask(*client, LongQuestion(300));
  EXPECT_TRUE(absl::IsResourceExhausted(never)) << never;
  EXPECT_THAT(std::string(never.message()), StartsWith("max_tokens: "));
  EXPECT_FALSE(client::RetryDelay(never).has_value()) << "to try again does not help";
  // More at a time than there is memory for wait for each other.
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Ask(*server.Connect(), LongQuestion(60)).ok()); });
  }
  for (std::thread& thread : threads) thread.join();

  ServerProcess too_small(model_.dir(), {absl::StrCat("--memory_budget=", fixed)});
  EXPECT_EQ(too_small.WaitForExit(), 1);
  EXPECT_THAT(too_small.Log(), HasSubstr("--memory_budget: "));
}

TEST_F(LimitsTest, TokensOfAnAnswer) {
  ServerProcess server(model_.dir(), {"--max_tokens=5"});
  ASSERT_TRUE(server.WaitUntilReady());
  const auto client = server.Connect();
  const auto model = client->GetModel({});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->limits().max_tokens(), 5U);
  for (const uint32_t asked : {3U, 5U, 6U, std::numeric_limits<uint32_t>::max()}) {
    const auto answer = client->Answer(LongQuestion(asked), {}, [](const auto&) { return true; });
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->usage().generated_tokens(), std::min(asked, 5U));
    EXPECT_EQ(answer->finish_reason(), v1::FINISH_REASON_LENGTH);
  }
}

TEST_F(LimitsTest, TokensOfPromptAndAnswer) {
  ServerProcess whole(model_.dir());
  ServerProcess server(model_.dir(), {"--max_model_len=128"});
  ASSERT_TRUE(whole.WaitUntilReady());
  ASSERT_TRUE(server.WaitUntilReady());
  EXPECT_LT(Planned(server, "request_bytes"), Planned(whole, "request_bytes"));
  const auto client = server.Connect();
  const auto model = client->GetModel({});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->decoder().context(), 128U);
  const auto answer = client->Answer(LongQuestion(1000), {}, [](const auto&) { return true; });
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->usage().prompt_tokens() + answer->usage().generated_tokens(), 128U);
  EXPECT_EQ(answer->finish_reason(), v1::FINISH_REASON_LENGTH);

  ServerProcess shorter(model_.dir(), {"--max_model_len=16"});
  EXPECT_EQ(shorter.WaitForExit(), 1);
  EXPECT_THAT(shorter.Log(), HasSubstr("no question about a small picture can be asked: "));
  ServerProcess longer(model_.dir(), {"--max_model_len=1000000"});
  EXPECT_EQ(longer.WaitForExit(), 1);
  EXPECT_THAT(longer.Log(), HasSubstr("--max_model_len: is 1000000, more than the model's "
                                      "max_position_embeddings, "));
}

TEST_F(LimitsTest, FlagsThatMeanNothingEndTheStart) {
  for (const std::string flag :
       {"--max_tokens=0", "--max_model_len=-1", "--max_running_per_caller=-1", "--max_waiting_per_caller=-1",
        "--prefix_cache_scope=tenant", "--isa=abacus"}) {
    ServerProcess server(model_.dir(), {flag});
    EXPECT_EQ(server.WaitForExit(), 1) << flag;
    EXPECT_THAT(server.Log(), HasSubstr(flag.substr(0, flag.find('=')) + ": "));
  }
}

}  // namespace
}  // namespace varserve::testing
