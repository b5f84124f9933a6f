#include "tests/testing/small_preprocessor.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/testing/files.h"

namespace varserve::testing {

std::unique_ptr<const chat::Preprocessor> LoadSmallPreprocessor() {
  const std::string dir = RepositoryPath("tests/golden/text/llama");
  const nlohmann::json config = ReadJson(dir + "/config.json");
  auto preprocessor = chat::Preprocessor::Load(
      dir, *image::ImageProcessor::Load(dir),
      {.token_id = config["image_token_index"], .num_tokens = 4, .rows = 2, .cols = 2},
      /*vocabulary=*/1100);
  EXPECT_TRUE(preprocessor.ok()) << preprocessor.status();
  return *std::move(preprocessor);
}

}  // namespace varserve::testing
