// Loading, lookups and protected text; that ids are right is text_golden_test's.
#include "server/preprocess/tokenizer.h"

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/preprocess/test_models.h"

namespace varserve::preprocess {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

constexpr int kImage = 2;  // of UnigramModel

Tokenizer Parse(const Json& tokenizer_json, const Json& config = Json::object()) {
  absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Parse(tokenizer_json.dump(), config.dump(), kImage);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::vector<int32_t> Encode(const Tokenizer& tokenizer, absl::string_view text,
                            absl::Span<const uint32_t> protected_offsets = {}) {
  const auto ids = tokenizer.Encode(text, {.protected_offsets = protected_offsets});
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(std::vector<int32_t>());
}

TEST(TokenizerTest, LooksUpTokens) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  EXPECT_EQ(tokenizer.TokenToId("</s>"), 2);
  EXPECT_EQ(tokenizer.IdToToken(2), "</s>");
  EXPECT_EQ(tokenizer.TokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(-1), std::nullopt);
  EXPECT_EQ(tokenizer.IdToToken(tokenizer.vocabulary_size()), std::nullopt);
  EXPECT_NE(tokenizer.IdToToken(tokenizer.vocabulary_size() - 1), std::nullopt);
  EXPECT_EQ(tokenizer.Kind(2), TokenKind::kSpecial);
  EXPECT_EQ(tokenizer.Kind(*tokenizer.TokenToId("<0xFF>")), TokenKind::kByte);
  EXPECT_EQ(tokenizer.Kind(*tokenizer.TokenToId("a")), TokenKind::kText);
  EXPECT_EQ(tokenizer.Kind(1 << 30), TokenKind::kUnknown);
  EXPECT_THAT(tokenizer.named_tokens(), testing::Contains(Pair("bos_token", "<s>")));
}

TEST(TokenizerTest, RefusesInvalidUtf8) {
  const Tokenizer tokenizer = LoadTestTokenizer("byte_level");
  for (const std::string text : {"\xFF", "ok \xC3", "\xED\xA0\x80", "\xC0\xAF"}) {
    EXPECT_EQ(tokenizer.Encode(text, {}).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(tokenizer.SpecialOffsets(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(Encode(tokenizer, ""), IsEmpty());
  EXPECT_THAT(*tokenizer.SpecialOffsets(""), IsEmpty());
}

TEST(TokenizerTest, ErrorsNameTheFile) {
  const std::filesystem::path dir = testing::TempDir() + "/tokenizer_test";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directory(dir);
  const auto error = [&] { return std::string(Tokenizer::Load(dir, kImage).status().message()); };
  EXPECT_THAT(error(), StartsWith("tokenizer.json: not found in the model directory"));
  std::ofstream(dir / "tokenizer.json") << "{\"model\": 1}";
  EXPECT_THAT(error(), StartsWith("tokenizer.json: "));
  std::ofstream(dir / "tokenizer.json") << UnigramModel();
  EXPECT_TRUE(Tokenizer::Load(dir, kImage).ok());
  EXPECT_THAT(std::string(Tokenizer::Load(dir, 5000).status().message()),
              StartsWith("tokenizer.json: there is no token with the id 5000 of the image placeholder"));
  std::ofstream(dir / "tokenizer_config.json") << "[]";
  EXPECT_THAT(error(), StartsWith("tokenizer_config.json: not a JSON object"));
}

TEST(TokenizerTest, FindsSpecialTextAlsoInPieces) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a plain < text > with / signs ="), IsEmpty());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a</s>b<image>"), ElementsAre(1, 6));
  EXPECT_THAT(*tokenizer.SpecialOffsets("s> at the start"), ElementsAre(0));
  EXPECT_THAT(*tokenizer.SpecialOffsets("at the end <ima"), ElementsAre(11));
  EXPECT_THAT(*tokenizer.SpecialOffsets("mag"), ElementsAre(0));  // "<i" and "e>" may stand around it
}

TEST(TokenizerTest, ProtectedTextIsNeverSpecial) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  const std::string text = "a</s>b<image>";
  EXPECT_THAT(Encode(tokenizer, text), ElementsAre(3, 1, 4, kImage));
  const std::vector<int32_t> ids = Encode(tokenizer, text, *tokenizer.SpecialOffsets(text));
  EXPECT_THAT(ids, testing::Each(testing::Gt(kImage)));
  EXPECT_EQ(*tokenizer.Decode(ids, /*skip_special_tokens=*/true), text);
  // Only the characters that are protected.
  EXPECT_THAT(Encode(tokenizer, "</s></s>", {0}), testing::Contains(1).Times(1));
  EXPECT_THAT(Encode(tokenizer, "</s></s>", {4}), testing::Contains(1).Times(1));
}

TEST(TokenizerTest, ProtectedTextIsNeverSpecialAfterNormalizing) {
  Json model = UnigramModel();
  model["normalizer"] = {{"type", "Sequence"},
                         {"normalizers", {{{"type", "NFKC"}}, {{"type", "Lowercase"}}}}};
  for (Json& token : model["added_tokens"]) token["normalized"] = true;
  const Tokenizer tokenizer = Parse(model);
  for (const std::string text : {"</S>", "a ＜/s＞ b", "<IMAGE>", "＜ｉｍａｇｅ＞", "</", "S>"}) {
    const std::vector<uint32_t> offsets = *tokenizer.SpecialOffsets(text);
    EXPECT_FALSE(offsets.empty()) << text;
    EXPECT_THAT(Encode(tokenizer, text, offsets), testing::Each(testing::Gt(kImage))) << text;
  }
  EXPECT_THAT(Encode(tokenizer, "＜/S＞<image>"), ElementsAre(1, kImage));
}

TEST(TokenizerTest, OrdinaryAddedTokensAreAlsoFoundInProtectedText) {
  Json model = UnigramModel();
  Json tool = SpecialToken(33, "<tool>");
  tool["special"] = false;
  model["added_tokens"].push_back(tool);
  const Tokenizer tokenizer = Parse(model);
  EXPECT_THAT(Encode(tokenizer, "<tool>", {0}), ElementsAre(33));
}

TEST(TokenizerTest, AddedTokensTakeWhitespaceAndWordsAsTheySay) {
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
  EXPECT_THAT(Encode(tokenizer, "words"), testing::Not(testing::Contains(33)));
}

TEST(TokenizerTest, TakesTokensFromTheConfiguration) {
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

TEST(TokenizerTest, AOneLetterSpecialTokenCannotBeWritten) {
  Json model = UnigramModel();
  model["added_tokens"].push_back(SpecialToken(3, "a"));
  const Tokenizer tokenizer = Parse(model);
  const auto ids = tokenizer.Encode("b a", {.protected_offsets = {2}});
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()),
              HasSubstr("cannot be written other than as a special token"));
}

TEST(TokenizerTest, IsThreadSafe) {
  const Tokenizer tokenizer = LoadTestTokenizer("byte_level");
  const std::string text = "What is in the image? <image> 123 é😀";
  const std::vector<int32_t> expected = Encode(tokenizer, text);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        Encode(tokenizer, "other text " + std::to_string(i * 1000 + round));
        EXPECT_EQ(Encode(tokenizer, text), expected);
        EXPECT_TRUE(tokenizer.Decode(expected, false).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace varserve::preprocess
