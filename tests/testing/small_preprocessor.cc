#include "tests/testing/small_preprocessor.h"

#include <gtest/gtest.h>

#include <utility>

#include "server/base/status_macros.h"
#include "server/image/clip_image_processor.h"
#include "tests/testing/files.h"
#include "tests/testing/image_span.h"

namespace varserve::testing {

absl::StatusOr<std::unique_ptr<const chat::Preprocessor>> LoadPreprocessor(const std::filesystem::path& dir,
                                                                           int vocabulary,
                                                                           int visual_tokens) {
  const int32_t image_token_id = ReadJson(dir / "config.json")["image_token_index"];
  ASSIGN_OR_RETURN(const auto config, image::ClipImageProcessorConfig::Load(dir));
  ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::Load(dir, image_token_id));
  return chat::Preprocessor::Load(dir, std::move(tokenizer),
                                  std::make_unique<const image::ClipImageProcessor>(
                                      config, MakeLayout(visual_tokens, 2, 2, image_token_id)),
                                  {image_token_id, "<image>"}, vocabulary);
}

std::unique_ptr<const chat::Preprocessor> LoadSmallPreprocessor() {
  auto preprocessor = LoadPreprocessor(RepositoryPath("tests/golden/text/llama"), kSmallVocabulary);
  EXPECT_TRUE(preprocessor.ok()) << preprocessor.status();
  return *std::move(preprocessor);
}

}  // namespace varserve::testing
