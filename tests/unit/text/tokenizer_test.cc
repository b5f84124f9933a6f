// Loading, lookups and protected text; that ids are right is text_golden_test's.
#include "server/text/tokenizer.h"

#include <pthread.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/text/test_models.h"

namespace varserve::text {
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

// As transformers does.
TEST(TokenizerTest, RefusesTokensOfTheWrongType) {
  const std::filesystem::path dir = testing::TempDir() + "/tokenizer_test_types";
  std::filesystem::remove_all(dir);
  std::filesystem::create_directory(dir);
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

TEST(TokenizerTest, FindsSpecialTextAlsoInPieces) {
  const Tokenizer tokenizer = Parse(UnigramModel());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a plain < text > with / signs ="), IsEmpty());
  EXPECT_THAT(*tokenizer.SpecialOffsets("a</s>b<image>"), ElementsAre(1, 6));
  EXPECT_THAT(*tokenizer.SpecialOffsets("s> at the start"), ElementsAre(0));
  EXPECT_THAT(*tokenizer.SpecialOffsets("at the end <ima"), ElementsAre(11));
  EXPECT_THAT(*tokenizer.SpecialOffsets("mag"), ElementsAre(0));  // "<i" and "e>" may be around it
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

TEST(TokenizerTest, OfNestedAddedTokensTheLongestAllowedIsTaken) {
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
  EXPECT_THAT(Encode(tokenizer, "<ac", {1}), testing::Not(testing::Contains(33)));
}

// The time is what a quadratic search would exceed a hundred times over, not what this one takes.
TEST(TokenizerTest, RunsOfAddedTokensTakeLinearTime) {
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
  EXPECT_THAT(Encode(tokenizer, special, offsets), testing::Each(testing::Ne(1)));
  EXPECT_LT(absl::Now() - start, absl::Seconds(30));
}

// A special token that the model also knows as an ordinary piece, thousands of times, where there is little
// stack: taking them apart neither recurses nor reads the rest of the text again.
TEST(TokenizerTest, SpecialPiecesAreTakenApartWithoutRecursion) {
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
