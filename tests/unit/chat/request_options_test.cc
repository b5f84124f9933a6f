#include "server/chat/request_options.h"

#include <cmath>
#include <functional>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::chat {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr int kVocabulary = 100;

TEST(GenerateOptionsTest, DefaultsAreTheApis) {
  const auto read = ReadGenerateOptions({}, kVocabulary, 17);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->params.max_tokens, 256);
  EXPECT_EQ(read->params.temperature, 0.0F);
  EXPECT_EQ(read->params.top_p, 1.0F);
  EXPECT_EQ(read->params.top_k, 0);
  EXPECT_EQ(read->params.repetition_penalty, 1.0F);
  EXPECT_EQ(read->params.seed, 17U);
  EXPECT_EQ(read->params.logprobs, -1);
  EXPECT_FALSE(read->params.ignore_eos);
  EXPECT_THAT(read->stop, IsEmpty());
}

TEST(GenerateOptionsTest, ZeroIsAValueWhereItIsOne) {
  v1::GenerateOptions options;
  options.set_temperature(0);
  options.set_top_k(0);
  options.set_seed(0);
  options.set_logprobs(0);
  const auto read = ReadGenerateOptions(options, kVocabulary, 17);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->params.seed, 0U);
  EXPECT_EQ(read->params.logprobs, 0);
}

TEST(GenerateOptionsTest, TakesTheEndsOfEveryRange) {
  v1::GenerateOptions options;
  options.set_max_tokens(std::numeric_limits<uint32_t>::max());
  options.set_temperature(5);
  options.set_top_p(1e-6F);
  options.set_top_k(kVocabulary);
  options.set_repetition_penalty(10);
  options.set_logprobs(20);
  for (int i = 0; i < 8; ++i) options.add_stop(std::string(256, 'x'));
  const auto read = ReadGenerateOptions(options, kVocabulary, 0);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_GT(read->params.max_tokens, 1'000'000);
  EXPECT_EQ(read->params.top_k, kVocabulary);
  EXPECT_EQ(read->stop.size(), 8U);

  options.set_repetition_penalty(0.01F);
  EXPECT_TRUE(ReadGenerateOptions(options, kVocabulary, 0).ok());
}

TEST(GenerateOptionsTest, NamesTheFieldOutOfRange) {
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  using Options = v1::GenerateOptions;
  const std::pair<std::string, std::function<void(Options&)>> cases[] = {
      {"max_tokens: ", [](Options& o) { o.set_max_tokens(0); }},
      {"temperature: ", [](Options& o) { o.set_temperature(-0.1F); }},
      {"temperature: ", [](Options& o) { o.set_temperature(5.1F); }},
      {"temperature: ", [nan](Options& o) { o.set_temperature(nan); }},
      {"temperature: ", [infinity](Options& o) { o.set_temperature(infinity); }},
      {"top_p: ", [](Options& o) { o.set_top_p(0); }},
      {"top_p: ", [](Options& o) { o.set_top_p(1.1F); }},
      {"top_p: ", [nan](Options& o) { o.set_top_p(nan); }},
      {"top_k: ", [](Options& o) { o.set_top_k(kVocabulary + 1); }},
      {"repetition_penalty: ", [](Options& o) { o.set_repetition_penalty(0); }},
      {"repetition_penalty: ", [](Options& o) { o.set_repetition_penalty(10.5F); }},
      {"logprobs: ", [](Options& o) { o.set_logprobs(21); }},
      {"stop[0]: ", [](Options& o) { o.add_stop(""); }},
      {"stop[1]: ",
       [](Options& o) {
         o.add_stop("fine");
         o.add_stop(std::string(257, 'x'));
       }},
      {"stop: ",
       [](Options& o) {
         for (int i = 0; i < 9; ++i) o.add_stop("x");
       }},
  };
  for (const auto& [field, change] : cases) {
    Options options;
    change(options);
    const absl::Status status = ReadGenerateOptions(options, kVocabulary, 0).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field;
    EXPECT_THAT(std::string(status.message()), StartsWith(field));
  }
}

}  // namespace
}  // namespace varserve::chat
