// No message of any reply is larger than gRPC's clients take by default.
#include "server/chat/reply_size.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_model_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/in_process_server.h"

namespace varserve::rpc {
namespace {

using chat::kMaxDeltaBytes;
using chat::kMaxTextBytes;
using chat::Shortened;
using varserve::testing::FakeModelRunner;
using varserve::testing::InProcessServer;

constexpr size_t kDefaultLimit = 4 << 20;

TEST(ReplySizeTest, ShortenedTextIsUtf8) {
  EXPECT_EQ(Shortened("short"), "short");
  const std::string text(kMaxTextBytes, 'a');
  EXPECT_EQ(Shortened(text).size(), kMaxTextBytes);
  for (const char* character : {"é", "山", "🙂"}) {
    for (size_t before = 1; before <= 4; ++before) {
      const std::string longer = std::string(kMaxTextBytes - before, 'a') + character + character + "bcd";
      const absl::string_view shortened = Shortened(longer);
      EXPECT_LE(shortened.size(), kMaxTextBytes);
      EXPECT_GT(shortened.size() + 4, kMaxTextBytes);
      EXPECT_EQ((shortened.size() - (kMaxTextBytes - before)) % std::string(character).size(), 0U);
    }
  }
}

// The whole context generated, with everything that can be asked for, to a reader who waits until it is all
// made.
TEST(ReplySizeTest, ExtremeRepliesComeInMessagesThatEveryClientTakes) {
  engine::ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 8192;
  facts.num_kv_blocks = 10 * 8192 / facts.block_size;
  FakeModelRunner runner(facts);
  runner.edit_output = [&](engine::StepOutput& output) {
    for (engine::SequenceResult& result : output.results) {
      if (!result.token.has_value()) continue;
      result.token->top.assign(20, {65, -1.5F});
    }
  };
  testing::InProcessOptions options;
  options.max_map_bytes = 2 << 20;
  InProcessServer server(&runner, testing::LoadSmallPreprocessor(), options);
  v1::CompareRequest request;
  v1::Message* message = request.mutable_request()->add_messages();
  message->set_role(v1::ROLE_USER);
  for (int i = 0; i < 8; ++i)
    message->add_parts()->mutable_image()->set_data(
        ReadFile(RepositoryPath("tests/golden/images/files/1x1.png")));
  message->add_parts()->set_text("What is it?");
  request.mutable_request()->mutable_options()->set_ignore_eos(true);
  request.mutable_request()->mutable_options()->set_max_tokens(8192);
  request.mutable_request()->mutable_options()->set_logprobs(20);
  for (int i = 0; i < 2; ++i) {
    request.add_settings()->set_mode(v1::VAR_MODE_ON);
    request.mutable_settings(i)->set_detail(v1::VAR_DETAIL_MAPS);
  }
  size_t largest = 0;
  int tokens = 0;
  int messages = 0;
  bool truncated = false;
  const auto finished = server.Connect()->Compare(request, {}, [&](const v1::CompareResponse& response) {
    // Slow at first, so that much piles up.
    if (messages++ == 0) absl::SleepFor(absl::Seconds(1)), server.WaitUntilIdle();
    largest = std::max(largest, response.ByteSizeLong());
    tokens += response.response().delta().token_ids_size();
    truncated |= response.response().finished().var_report().maps_truncated();
    return true;
  });
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_LT(largest, kDefaultLimit);
  EXPECT_GT(largest, kMaxDeltaBytes / 2) << "the test asks for much";
  EXPECT_TRUE(truncated);
  EXPECT_EQ(tokens, (*finished)[0].usage().generated_tokens() + (*finished)[1].usage().generated_tokens());
  EXPECT_GT(messages, 4) << "deltas join only up to a size";
}

}  // namespace
}  // namespace varserve::rpc
