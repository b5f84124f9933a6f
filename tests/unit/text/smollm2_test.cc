// The embedded model's own tokenizer, too large to be a golden: the ids transformers gives for tests/golden's
// texts.
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/text/detokenizer.h"
#include "server/text/tokenizer.h"
#include "tests/testing/files.h"

namespace varserve::text {
namespace {

TEST(SmolLm2Test, TokenizesAsTransformers) {
  const char* embedded_model = std::getenv("VARSERVE_EMBEDDED_MODEL");
  ASSERT_NE(embedded_model, nullptr) << "VARSERVE_EMBEDDED_MODEL is not set; ./dev test sets it";
  const std::filesystem::path dir = embedded_model;
  const absl::StatusOr<Tokenizer> loaded =
      Tokenizer::Load(dir, ReadJson(dir / "config.json")["image_token_index"]);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Tokenizer& tokenizer = *loaded;
  for (const nlohmann::json& golden : ReadJson(RepositoryPath("tests/golden/text/smollm2.json"))) {
    const std::string text = golden["text"];
    const absl::StatusOr<std::vector<int32_t>> ids = tokenizer.Encode(text, {});
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(nlohmann::json(*ids), golden["ids"]) << text;
    Detokenizer detokenizer(&tokenizer);
    std::string streamed;
    for (const int32_t id : *ids) streamed += *detokenizer.Add(id);
    streamed += *detokenizer.Finish();
    EXPECT_EQ(streamed, *tokenizer.Decode(*ids, /*skip_special_tokens=*/true));
  }
}

}  // namespace
}  // namespace varserve::text
