// The small model directories of the goldens, and tokenizers made for one test.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/text/tokenizer.h"
#include "tests/testing/files.h"

namespace varserve::text {

inline Tokenizer LoadTestTokenizer(const std::string& model) {
  const std::filesystem::path dir = RepositoryPath("tests/golden/text") / model;
  absl::StatusOr<Tokenizer> tokenizer =
      Tokenizer::Load(dir, ReadJson(dir / "config.json")["image_token_index"]);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

inline nlohmann::json SpecialToken(int id, absl::string_view content) {
  return {{"id", id},
          {"content", std::string(content)},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", true}};
}

inline constexpr int kImage = 2;  // of UnigramModel

// A unigram model of single characters that also knows its special tokens as pieces: </s> (1) and <image>
// (2).
inline nlohmann::json UnigramModel() {
  nlohmann::json vocabulary;
  const auto add = [&](const std::string& piece, double score) {
    vocabulary.push_back(nlohmann::json::array({piece, score}));
  };
  add("<unk>", 0.0);
  add("</s>", -1.0);
  add("<image>", -1.0);
  for (const char c : absl::string_view("abcdefghijklmnopqrstuvwxyz<>/ ")) add(std::string(1, c), -5.0);
  return {{"version", "1.0"},
          {"added_tokens", {SpecialToken(0, "<unk>"), SpecialToken(1, "</s>"), SpecialToken(2, "<image>")}},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocabulary}, {"byte_fallback", false}}}};
}

inline Tokenizer Parse(const nlohmann::json& tokenizer_json,
                       const nlohmann::json& config = nlohmann::json::object()) {
  absl::StatusOr<Tokenizer> tokenizer = Tokenizer::Parse(tokenizer_json.dump(), config.dump(), kImage);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

inline std::vector<int32_t> Encode(const Tokenizer& tokenizer, absl::string_view text,
                                   absl::Span<const uint32_t> protected_offsets = {}) {
  const auto ids = tokenizer.Encode(text, {.protected_offsets = protected_offsets});
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.value_or(std::vector<int32_t>());
}

}  // namespace varserve::text
