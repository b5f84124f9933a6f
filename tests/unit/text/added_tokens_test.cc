// Special and other added tokens, and text that is protected from becoming one.
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/text/tokenizer.h"
#include "tests/unit/text/test_models.h"

namespace varserve::text {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// Runs on a thread with 256 KiB of stack.
void OnSmallStack(const std::function<void()>& body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
  pthread_t thread;
  const auto run = [](void* function) -> void* {
    (*static_cast<const std::function<void()>*>(function))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&body)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(AddedTokensTest, FindsSpecialTextAlsoInPieces) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a plain < text > with / signs ="), IsEmpty());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a</s>b<image>"), ElementsAre(1, 6));
  EXPECT_THAT(*tokenizer.SpecialOffsets("s> at the start"), ElementsAre(0));
  EXPECT_THAT(*tokenizer.SpecialOffsets("at the end <ima"), ElementsAre(11));
  EXPECT_THAT(*tokenizer.SpecialOffsets("mag"), ElementsAre(0));  // "<i" and "e>" may be around it
}

TEST(AddedTokensTest, ProtectedTextIsNeverSpecial) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  const std::string text = "a</s>b<image>";
  EXPECT_THAT(Encode(tokenizer, text), ElementsAre(3, 1, 4, kImage));
  const std::vector<int32_t> ids = Encode(tokenizer, text, *tokenizer.SpecialOffsets(text));
  EXPECT_THAT(ids, ::testing::Each(::testing::Gt(kImage)));
  EXPECT_EQ(*tokenizer.Decode(ids, /*skip_special_tokens=*/true), text);
  // Only the characters that are protected.
  EXPECT_THAT(Encode(tokenizer, "</s></s>", {0}), ::testing::Contains(1).Times(1));
  EXPECT_THAT(Encode(tokenizer, "</s></s>", {4}), ::testing::Contains(1).Times(1));
}

TEST(AddedTokensTest, ProtectedTextIsNeverSpecialAfterNormalizing) {
  Json model = UnigramModel();
  model["normalizer"] = {{"type", "Sequence"},
                         {"normalizers", {{{"type", "NFKC"}}, {{"type", "Lowercase"}}}}};
  for (Json& token : model["added_tokens"]) token["normalized"] = true;
  const Tokenizer tokenizer = Parse(model);
  for (const std::string text : {"</S>", "a ＜/s＞ b", "<IMAGE>", "＜ｉｍａｇｅ＞", "</", "S>"}) {
    const std::vector<uint32_t> offsets = *tokenizer.SpecialOffsets(text);
    EXPECT_FALSE(offsets.empty()) << text;
    EXPECT_THAT(Encode(tokenizer, text, offsets), ::testing::Each(::testing::Gt(kImage))) << text;
  }
  EXPECT_THAT(Encode(tokenizer, "＜/S＞<image>"), ElementsAre(1, kImage));
}

TEST(AddedTokensTest, OrdinaryAddedTokensAreAlsoFoundInProtectedText) {
  Json model = UnigramModel();
  Json tool = SpecialToken(33, "<tool>");
  tool["special"] = false;
  model["added_tokens"].push_back(tool);
  const Tokenizer tokenizer = Parse(model);
  EXPECT_THAT(Encode(tokenizer, "<tool>", {0}), ElementsAre(33));
}

TEST(AddedTokensTest, AddedTokensTakeWhitespaceAndWordsAsTheySay) {
  Json model = UnigramModel();
  model["added_tokens"][1]["lstrip"] = true;
  model["added_tokens"][2]["rstrip"] = true;
  Json word = SpecialToken(33, "word");
  word["single_word"] = true;
  model["added_tokens"].push_back(word);
  const Tokenizer tokenizer = Parse(model);
  EXPECT_THAT(Encode(tokenizer, "a  </s>a"), ElementsAre(3, 1, 3));
  EXPECT_THAT(Encode(tokenizer, "a<image>  a"), ElementsAre(3, kImage, 3));
  EXPECT_THAT(Encode(tokenizer, "<image>  </s>"), ElementsAre(kImage, 1));
  EXPECT_THAT(Encode(tokenizer, "word"), ElementsAre(33));
  EXPECT_THAT(Encode(tokenizer, "words"), ::testing::Not(::testing::Contains(33)));
}

TEST(AddedTokensTest, TakesTokensFromTheConfiguration) {
  const Json config = {{"bos_token", "<bos>"},
                       {"eos_token", {{"__type", "AddedToken"}, {"content", "</s>"}}},
                       {"pad_token", nullptr},
                       {"extra_special_tokens", {{"video_token", "<video>"}}},
                       {"added_tokens_decoder",
                        {{"40", {{"content", "<b>"}, {"special", false}, {"normalized", false}}},
                         {"39", {{"content", "<a>"}, {"special", true}}}}}};
  const Tokenizer tokenizer = Parse(UnigramModel(), config);
  EXPECT_THAT(tokenizer.named_tokens(), ElementsAre(Pair("bos_token", "<bos>"), Pair("eos_token", "</s>"),
                                                    Pair("video_token", "<video>")));
  const int base = 33;  // tokens of the model
  EXPECT_EQ(tokenizer.TokenToId("<a>"), base);
  EXPECT_EQ(tokenizer.TokenToId("<b>"), base + 1);
  EXPECT_EQ(tokenizer.TokenToId("<bos>"), base + 2);
  EXPECT_EQ(tokenizer.TokenToId("<video>"), base + 3);
  EXPECT_EQ(tokenizer.Kind(base), TokenKind::kSpecial);
  EXPECT_EQ(tokenizer.Kind(base + 1), TokenKind::kText);
  EXPECT_EQ(tokenizer.Kind(base + 2), TokenKind::kSpecial);
}

TEST(AddedTokensTest, AOneLetterSpecialTokenCannotBeWritten) {
  Json model = UnigramModel();
  model["added_tokens"].push_back(SpecialToken(3, "a"));
  const Tokenizer tokenizer = Parse(model);
  const auto ids = tokenizer.Encode("b a", {.protected_offsets = {2}});
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()),
              HasSubstr("cannot be written other than as a special token"));
}

TEST(AddedTokensTest, OfNestedAddedTokensTheLongestAllowedIsTaken) {
  Json model = UnigramModel();
  model["added_tokens"].push_back(SpecialToken(33, "<a"));
  Json ordinary = SpecialToken(34, "<ab");
  ordinary["special"] = false;
  model["added_tokens"].push_back(ordinary);
  model["added_tokens"].push_back(SpecialToken(35, "<abc"));
  const Tokenizer tokenizer = Parse(model);
  EXPECT_THAT(Encode(tokenizer, "<abc"), ElementsAre(35));
  EXPECT_THAT(Encode(tokenizer, "<abc", {3}), ElementsAre(34, 5));
  EXPECT_THAT(Encode(tokenizer, "<abc", {1}), ElementsAre(34, 5));
  EXPECT_THAT(Encode(tokenizer, "<ac", {1}), ::testing::Not(::testing::Contains(33)));
}

// The time is what a quadratic search would exceed a hundred times over, not what this one takes.
TEST(AddedTokensTest, RunsOfAddedTokensTakeLinearTime) {
  Json model = UnigramModel();
  model["added_tokens"][1]["lstrip"] = true;
  model["added_tokens"][1]["rstrip"] = true;
  for (int size = 1; size <= 64; ++size) {
    Json blank = SpecialToken(32 + size, std::string(size, '\n'));
    blank["special"] = false;
    blank["lstrip"] = blank["rstrip"] = true;
    model["added_tokens"].push_back(blank);
  }
  const Tokenizer tokenizer = Parse(model);
  const absl::Time start = absl::Now();
  const std::string newlines(1 << 20, '\n');
  EXPECT_EQ(Encode(tokenizer, newlines).size(), newlines.size() / 64);
  std::string special;
  while (special.size() < 1 << 20) special += "</s>  ";
  EXPECT_EQ(Encode(tokenizer, special).size(), special.size() / 6);
  const std::vector<uint32_t> offsets = *tokenizer.SpecialOffsets(special);
  EXPECT_EQ(offsets.size(), special.size() / 6);
  EXPECT_THAT(Encode(tokenizer, special, offsets), ::testing::Each(::testing::Ne(1)));
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

// A special token that the model also knows as an ordinary piece, thousands of times, where there is little
// stack: taking them apart neither recurses nor reads the rest of the text again.
TEST(AddedTokensTest, SpecialPiecesAreTakenApartWithoutRecursion) {
  const Tokenizer unigram = Parse(UnigramModel());
  const Tokenizer llama = LoadTestTokenizer("llama");
  std::string text;
  while (text.size() < 1 << 20) text += "</s>";
  const absl::Time start = absl::Now();
  OnSmallStack([&] {
    for (const Tokenizer* tokenizer : {&unigram, &llama}) {
      const std::vector<int32_t> ids = Encode(*tokenizer, text, *tokenizer->SpecialOffsets(text));
      EXPECT_TRUE(std::none_of(ids.begin(), ids.end(),
                               [&](int32_t id) { return tokenizer->Kind(id) == TokenKind::kSpecial; }));
      EXPECT_EQ(*tokenizer->Decode(ids, /*skip_special_tokens=*/true), text);
    }
  });
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

}  // namespace
}  // namespace varserve::text
