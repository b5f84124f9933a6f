// The embedded model from its directory, which ./dev test names in the environment, and a question on a
// picture.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "server/chat/preprocessor.h"
#include "server/loader/model_loader.h"
#include "tests/testing/files.h"

namespace varserve::testing {

// `options`: all but the directory and the device. Asserts that it is there.
inline LoadedModel LoadEmbeddedModel(model::VisionLanguageModel::Options options) {
  const char* directory = std::getenv("VARSERVE_EMBEDDED_MODEL");
  EXPECT_NE(directory, nullptr) << "VARSERVE_EMBEDDED_MODEL is not set; ./dev test sets it";
  options.model_dir = directory == nullptr ? "" : directory;
  options.device = "cpu";
  auto loaded = LoadModel(options);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *std::move(loaded);
}

// A sample picture and a question.
inline std::shared_ptr<const Prompt> AskAboutAnimals(const chat::Preprocessor& preprocessor) {
  const auto picture = preprocessor.ProcessImage(
      ReadFile(RepositoryPath("models/embedded/samples/animals.jpg")), {}, NeverStop);
  EXPECT_TRUE(picture.ok()) << picture.status();
  auto prompt = preprocessor.prompt_builder().Build(
      {{text::Role::kUser, {text::ImagePart(), "Describe the image in detail."}}}, {*picture});
  EXPECT_TRUE(prompt.ok()) << prompt.status();
  return std::make_shared<const Prompt>(*std::move(prompt));
}

}  // namespace varserve::testing
