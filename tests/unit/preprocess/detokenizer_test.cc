#include "server/preprocess/detokenizer.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/preprocess/test_models.h"

namespace varserve::preprocess {
namespace {

bool IsValidUtf8(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::ignore) ==
         nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class DetokenizerTest : public testing::TestWithParam<const char*> {
 protected:
  std::vector<int32_t> Encode(absl::string_view text) { return *tokenizer_.Encode(text, {}); }

  // The deltas of these tokens, the last one from Finish.
  std::vector<std::string> Stream(const std::vector<int32_t>& ids) {
    Detokenizer detokenizer(&tokenizer_);
    std::vector<std::string> deltas;
    for (const int32_t id : ids) deltas.push_back(*detokenizer.Add(id));
    deltas.push_back(*detokenizer.Finish());
    return deltas;
  }

  const Tokenizer tokenizer_ = LoadTestTokenizer(GetParam());
};

TEST_P(DetokenizerTest, NeverSplitsACharacter) {
  const std::vector<int32_t> ids = Encode("a😀👩‍👧 中b");
  std::string joined;
  for (const std::string& delta : Stream(ids)) {
    EXPECT_TRUE(IsValidUtf8(delta));
    EXPECT_THAT(delta, testing::Not(testing::HasSubstr("\xEF\xBF\xBD")));
    joined += delta;
  }
  EXPECT_EQ(joined, "a😀👩‍👧 中b");
}

TEST_P(DetokenizerTest, TextComesWithItsToken) {
  const std::vector<int32_t> ids = Encode("What is in the image?");
  const std::vector<std::string> deltas = Stream(ids);
  ASSERT_EQ(deltas.size(), ids.size() + 1);
  EXPECT_EQ(deltas.back(), "");
  std::string joined;
  for (size_t i = 0; i < ids.size(); ++i) {
    joined += deltas[i];
    EXPECT_EQ(joined, *tokenizer_.Decode({ids.data(), i + 1}, true));
  }
}

TEST_P(DetokenizerTest, LeavesSpecialAndUnknownTokensOut) {
  std::vector<int32_t> ids = Encode("one two");
  const int32_t eos = *tokenizer_.TokenToId(tokenizer_.named_tokens().at("eos_token"));
  std::vector<int32_t> with_special;
  for (const int32_t id : ids) with_special.insert(with_special.end(), {eos, id, -7, 1 << 29, eos});
  std::string joined;
  for (const std::string& delta : Stream(with_special)) joined += delta;
  EXPECT_EQ(joined, "one two");
}

TEST_P(DetokenizerTest, JoinedTextIsTheDecodedTextOfAnyTokens) {
  std::mt19937 random(5);
  const int vocabulary = tokenizer_.vocabulary_size();
  for (int round = 0; round < 300; ++round) {
    // Mostly bytes and rare pieces: valid, broken and incomplete characters.
    std::vector<int32_t> ids(random() % 30);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % (random() % 2 == 0 ? 260 : vocabulary));
    std::string joined;
    for (const std::string& delta : Stream(ids)) {
      EXPECT_TRUE(IsValidUtf8(delta));
      joined += delta;
    }
    EXPECT_EQ(joined, *tokenizer_.Decode(ids, /*skip_special_tokens=*/true));
  }
}

INSTANTIATE_TEST_SUITE_P(All, DetokenizerTest, testing::Values("byte_level", "llama"));

TEST(LlamaDetokenizerTest, DropsTheLeadingSpaceOnce) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  const int32_t space = *tokenizer.TokenToId("▁");
  const int32_t letter = *tokenizer.TokenToId("a");
  Detokenizer detokenizer(&tokenizer);
  EXPECT_EQ(*detokenizer.Add(space), "");
  EXPECT_EQ(*detokenizer.Add(letter), "a");
  EXPECT_EQ(*detokenizer.Add(space), " ");
  EXPECT_EQ(*detokenizer.Add(space), " ");
  EXPECT_EQ(*detokenizer.Add(letter), "a");
  EXPECT_EQ(*detokenizer.Finish(), "");
}

TEST(LlamaDetokenizerTest, HoldsARunOfBytesUntilItsEnd) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  const auto byte = [&](const char* token) { return *tokenizer.TokenToId(token); };
  const int32_t letter = *tokenizer.TokenToId("a");
  Detokenizer whole(&tokenizer);
  EXPECT_EQ(*whole.Add(byte("<0xC3>")), "");
  EXPECT_EQ(*whole.Add(byte("<0xA9>")), "");
  EXPECT_EQ(*whole.Add(letter), "éa");
  // A later byte that makes no character takes the whole run with it, as in Decode.
  Detokenizer broken(&tokenizer);
  EXPECT_EQ(*broken.Add(byte("<0xC3>")), "");
  EXPECT_EQ(*broken.Add(byte("<0xA9>")), "");
  EXPECT_EQ(*broken.Add(byte("<0xFF>")), "");
  EXPECT_EQ(*broken.Add(letter), "���a");
}

}  // namespace
}  // namespace varserve::preprocess
