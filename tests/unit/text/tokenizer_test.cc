// Loading and lookups; that ids are right is text_golden_test's.
#include "server/text/tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/text/test_models.h"

namespace varserve::text {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

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
  EXPECT_THAT(tokenizer.named_tokens(), ::testing::Contains(Pair("bos_token", "<s>")));
}

TEST(TokenizerTest, ATokensTextIsWhatItAddsToASentence) {
  const Tokenizer llama = LoadTestTokenizer("llama");
  const auto text = [&](const char* token) { return llama.TokenText(*llama.TokenToId(token)); };
  EXPECT_EQ(text("▁image"), " image");
  EXPECT_EQ(text("a"), "a");
  EXPECT_EQ(text("▁"), " ");
  EXPECT_EQ(text("▁▁"), "  ");
  EXPECT_EQ(text("<0x0A>"), "\n");
  EXPECT_EQ(text("<0xC3>"), "\uFFFD");
  EXPECT_EQ(text("</s>"), "</s>");
  EXPECT_EQ(llama.TokenText(-1), "");
  const Tokenizer byte_level = LoadTestTokenizer("byte_level");
  EXPECT_EQ(byte_level.TokenText(*byte_level.TokenToId("Ġimage")), " image");
  EXPECT_EQ(byte_level.TokenText(*byte_level.TokenToId("Ã")), "\uFFFD");
  EXPECT_EQ(byte_level.TokenText(*byte_level.TokenToId("<|im_end|>")), "<|im_end|>");
}

TEST(TokenizerTest, KnowsTheLongestTextOfAToken) {
  const auto longest = [](const Json& model) { return Parse(model).longest_piece(); };
  EXPECT_EQ(longest(UnigramModel()), 7u);  // <image>
  Json model = UnigramModel();
  model["model"]["vocab"].push_back(Json::array({"▁▁▁▁▁▁▁▁▁▁", -5.0}));
  EXPECT_EQ(longest(model), 30u);
  model["decoder"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  EXPECT_EQ(longest(model), 10u) << "spaces, one of which is dropped at the start of a text";
  model["added_tokens"].push_back(SpecialToken(34, std::string(40, '=')));
  EXPECT_EQ(longest(model), 40u);
}

TEST(TokenizerTest, StopsWhereATextHasTooManyTokens) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  const auto encode = [&](size_t max_tokens) {
    return tokenizer.Encode("abc</s>", {.max_tokens = max_tokens}).value();
  };
  EXPECT_THAT(encode(4), ElementsAre(3, 4, 5, 1));
  EXPECT_THAT(encode(3), ElementsAre(3, 4, 5, 1));
  EXPECT_THAT(encode(2), ElementsAre(3, 4, 5));
  EXPECT_THAT(encode(0), ElementsAre(3));
}

TEST(TokenizerTest, ATextMuchTooLongIsKnownByItsBeginning) {
  for (const char* model : {"llama", "byte_level"}) {
    const Tokenizer tokenizer = LoadTestTokenizer(model);
    for (const std::string piece : {"é", "中😀", "a b", "ab", "</s>", "\u0301", " ", "7"}) {
      std::string text;
      while (text.size() < 30'000) text += piece;
      const std::vector<uint32_t> offsets = *tokenizer.SpecialOffsets(text);
      const std::vector<int32_t> all = Encode(tokenizer, text, offsets);
      for (const size_t most : {size_t{0}, size_t{1}, size_t{7}, size_t{300}, all.size() - 1, all.size()}) {
        const auto ids = tokenizer.Encode(text, {.protected_offsets = offsets, .max_tokens = most});
        ASSERT_TRUE(ids.ok()) << ids.status();
        const size_t size = std::min(all.size(), most + 1);
        EXPECT_EQ(*ids, std::vector<int32_t>(all.begin(), all.begin() + static_cast<ptrdiff_t>(size)))
            << model << piece << most;
      }
    }
  }
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
  const testing::TempDir temp;
  const std::filesystem::path dir = temp.path();
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

// As transformers does.
TEST(TokenizerTest, RefusesTokensOfTheWrongType) {
  const testing::TempDir temp;
  const std::filesystem::path dir = temp.path();
  std::ofstream(dir / "tokenizer.json") << UnigramModel();
  const auto status = [&](const Json& config) {
    std::ofstream(dir / "tokenizer_config.json") << config;
    return Tokenizer::Load(dir, kImage).status();
  };
  const Json listed = {{"content", "<q>"}};
  for (const Json& config :
       std::vector<Json>{{{"bos_token", 5}},
                         {{"bos_token", Json::array({"<s>"})}},
                         {{"bos_token", Json::object()}},
                         {{"bos_token", {{"content", "<s>"}}}},
                         {{"bos_token", {{"__type", "AddedToken"}, {"content", 5}}}},
                         {{"added_tokens_decoder", Json::array()}},
                         {{"added_tokens_decoder", {{"x", listed}}}},
                         {{"added_tokens_decoder", {{"34", "<q>"}}}},
                         {{"added_tokens_decoder", {{"34", {{"content", "<q>"}, {"special", "yes"}}}}}},
                         {{"extra_special_tokens", "<q>"}},
                         {{"extra_special_tokens", {5}}},
                         {{"extra_special_tokens", {{"a_token", 5}}}}}) {
    EXPECT_EQ(status(config).code(), absl::StatusCode::kFailedPrecondition) << config;
    const std::string key = config.begin().key();
    EXPECT_TRUE(absl::StartsWith(status(config).message(), absl::StrCat("tokenizer_config.json: ", key)) ||
                absl::StartsWith(status(config).message(), "tokenizer_config.json: a_token"))
        << status(config);
  }
  for (const Json& config : std::vector<Json>{{{"bos_token", nullptr},
                                               {"extra_special_tokens", nullptr},
                                               {"added_tokens_decoder", {{"34", Json::object()}}}},
                                              {{"odd_token", 5}}}) {
    EXPECT_TRUE(status(config).ok()) << status(config);
  }
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
}  // namespace varserve::text
