#include "server/text/detokenizer.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/text/stop_matcher.h"
#include "tests/unit/text/test_models.h"

namespace varserve::text {
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

TEST_P(DetokenizerTest, HeldTextIsWhatWouldComeNext) {
  std::mt19937 random(6);
  for (int round = 0; round < 300; ++round) {
    Detokenizer detokenizer(&tokenizer_);
    std::vector<int32_t> ids;
    std::string joined;
    for (size_t size = random() % 20; ids.size() < size;) {
      ids.push_back(static_cast<int32_t>(random() % 300));
      joined += *detokenizer.Add(ids.back());
      if (detokenizer.held().empty()) continue;
      EXPECT_EQ(joined + std::string(detokenizer.held()), *tokenizer_.Decode(ids, true));
    }
  }
}

// A model that writes one unfinished character after the other: neither the text nor the work piles up.
TEST_P(DetokenizerTest, BrokenCharactersWithoutEnd) {
  Detokenizer detokenizer(&tokenizer_);
  const std::vector<int32_t> once = Encode("\uFFFD");
  std::vector<int32_t> ids;
  std::string joined;
  size_t longest_hold = 0;
  for (int i = 0; i < 3000; ++i) {
    for (const int32_t id : once) {
      ids.push_back(id);
      joined += *detokenizer.Add(id);
    }
    if (GetParam() == std::string("byte_level"))
      longest_hold = std::max(longest_hold, 3 * (i + 1) - joined.size());
  }
  EXPECT_LE(longest_hold, 3u);
  EXPECT_EQ(joined + *detokenizer.Finish(), *tokenizer_.Decode(ids, true));
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

TEST(LlamaDetokenizerTest, ANewlineIsKnownAtOnceIfTheAnswerEndsWithIt) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  const auto byte = [&](const char* token) { return *tokenizer.TokenToId(token); };
  Detokenizer detokenizer(&tokenizer);
  StopMatcher matcher({"\n"});
  EXPECT_EQ(matcher.Add(*detokenizer.Add(byte("a"))), "a");
  EXPECT_EQ(detokenizer.held(), "");
  EXPECT_EQ(*detokenizer.Add(byte("<0x0A>")), "");
  EXPECT_EQ(detokenizer.held(), "\n");
  EXPECT_EQ(matcher.Add("", detokenizer.held()), "");
  EXPECT_TRUE(matcher.stopped());

  // If the answer goes on, the byte may yet become part of something else, and then was no newline.
  EXPECT_EQ(*detokenizer.Add(byte("<0xC3>")), "");
  EXPECT_EQ(detokenizer.held(), "");
  EXPECT_EQ(*detokenizer.Add(byte("<0xA9>")), "");
  EXPECT_EQ(detokenizer.held(), "\né");
  EXPECT_EQ(*detokenizer.Add(byte("<0xFF>")), "");
  EXPECT_EQ(detokenizer.held(), "");
  EXPECT_EQ(*detokenizer.Add(byte("<0x0A>")), "");
  EXPECT_EQ(detokenizer.held(), "");
  EXPECT_EQ(*detokenizer.Add(byte("a")), "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDa");
}

TEST(LlamaDetokenizerTest, AHeldSpaceIsTheOneTheDecoderDrops) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  const int32_t space = *tokenizer.TokenToId("<0x20>");
  Detokenizer detokenizer(&tokenizer);
  EXPECT_EQ(*detokenizer.Add(space), "");
  EXPECT_EQ(detokenizer.held(), "");
  EXPECT_EQ(*detokenizer.Add(space), "");
  EXPECT_EQ(detokenizer.held(), " ");
  EXPECT_EQ(*detokenizer.Finish(), " ");
}

TEST(ByteLevelDetokenizerTest, TextBeforeACutCharacterComesAtOnce) {
  const Tokenizer tokenizer = LoadTestTokenizer("byte_level");
  const auto byte = [&](const char* token) { return *tokenizer.TokenToId(token); };
  Detokenizer detokenizer(&tokenizer);
  EXPECT_EQ(*detokenizer.Add(byte("a")), "a");
  EXPECT_EQ(*detokenizer.Add(byte("Ã")), "");
  EXPECT_EQ(*detokenizer.Add(byte("Ã")), "\uFFFD");  // the first was none
  EXPECT_EQ(*detokenizer.Add(byte("©")), "é");
  EXPECT_EQ(*detokenizer.Finish(), "");
}

}  // namespace
}  // namespace varserve::text
