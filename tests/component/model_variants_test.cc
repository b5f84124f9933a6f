// Model directories that differ from a usual one in one way each: the server generates what transformers
// generates, or refuses them at start with a message that names file and field. tests/models says how
// transformers was asked.
#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "server/base/status_macros.h"
#include "server/chat/preprocessor.h"
#include "server/loader/model_loader.h"
#include "server/model/step_runner.h"
#include "tests/testing/files.h"
#include "tests/testing/model_variant.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using nlohmann::json;
using testing::ModelVariants;
using testing::RunnerDriver;
using testing::VariantDirectory;

constexpr double kTolerance = 5e-4;  // of log-probabilities
constexpr int kTokens = 8;

struct Served {
  std::unique_ptr<StepRunner> runner;
  std::unique_ptr<const chat::Preprocessor> preprocessor;
};

// What a server does at start (server/serving.cc), in float32.
absl::StatusOr<Served> Load(const std::string& dir) {
  ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel({.model_dir = dir, .device = "cpu", .dtype = "float32"}));
  Served served{.preprocessor = std::move(loaded.preprocessor)};
  ASSIGN_OR_RETURN(served.runner, StepRunner::Create(std::move(loaded.model), 64));
  return served;
}

text::Role RoleOf(const std::string& name) {
  return name == "system" ? text::Role::kSystem : name == "user" ? text::Role::kUser : text::Role::kAssistant;
}

// `conversation`: [[role, [file of a picture or text, ..]], ..]
engine::GenerationRequest Request(const chat::Preprocessor& preprocessor, const json& conversation) {
  const std::string pictures = RepositoryPath(ModelVariants()["pictures"].get<std::string>());
  std::vector<text::Message> messages;
  std::vector<std::shared_ptr<const ProcessedImage>> images;
  int num_images = 0;
  for (const json& turn : conversation) {
    for (const auto& part : turn[1].get<std::vector<std::string>>())
      num_images += absl::EndsWith(part, ".png") ? 1 : 0;
  }
  for (const json& turn : conversation) {
    text::Message& message = messages.emplace_back();
    message.role = RoleOf(turn[0]);
    for (const auto& part : turn[1].get<std::vector<std::string>>()) {
      if (!absl::EndsWith(part, ".png")) {
        message.parts.emplace_back(part);
        continue;
      }
      message.parts.emplace_back(text::ImagePart());
      const auto picture =
          preprocessor.ProcessImage(ReadFile(pictures + "/" + part), {}, NeverStop, num_images);
      EXPECT_TRUE(picture.ok()) << picture.status();
      images.push_back(*picture);
    }
  }
  absl::StatusOr<Prompt> prompt = preprocessor.prompt_builder().Build(messages, images);
  EXPECT_TRUE(prompt.ok()) << prompt.status();
  engine::GenerationRequest request;
  request.prompt = std::make_shared<const Prompt>(*std::move(prompt));
  request.sampling.logprobs = 1;
  return request;
}

void ExpectTokens(Served& served, const json& variant) {
  const json conversation = variant.value("conversation", ModelVariants()["conversation"]);
  RunnerDriver driver(*served.runner, Request(*served.preprocessor, conversation));
  const std::vector<int32_t>& eos = served.runner->facts().eos_token_ids;
  const int prefix = driver.request().prompt->prefix_size();
  const int size = driver.request().prompt->size();
  driver.Run(prefix, /*sample=*/prefix == size);
  if (prefix < size) driver.Run(size, /*sample=*/true);
  while (driver.generated().size() < kTokens && !::testing::Test::HasFatalFailure() &&
         std::find(eos.begin(), eos.end(), driver.generated().back()) == eos.end()) {
    driver.Run(driver.position() + 1, /*sample=*/true);
  }
  ASSERT_EQ(driver.generated(), variant["tokens"].get<std::vector<int32_t>>());
  for (size_t i = 0; i < driver.sampled().size(); ++i) {
    EXPECT_NEAR(driver.sampled()[i].logprob, variant["logprobs"][i].get<float>(), kTolerance) << i;
  }
}

void ExpectRefusal(const absl::Status& status, const json& words) {
  EXPECT_TRUE(absl::IsFailedPrecondition(status) || absl::IsNotFound(status)) << status;
  for (const json& word : words) {
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(word.get<std::string>()));
  }
}

class ModelVariantsTest : public ::testing::TestWithParam<size_t> {};

TEST_P(ModelVariantsTest, DoesWhatTransformersDoes) {
  const json& variant = ModelVariants()["variants"][GetParam()];
  SCOPED_TRACE(variant["name"].get<std::string>());
  const VariantDirectory directory(variant);
  absl::StatusOr<Served> served = Load(directory.path());
  if (variant.contains("says")) {
    ExpectRefusal(served.status(), variant["says"]);
  } else {
    ASSERT_TRUE(served.ok()) << served.status();
    ExpectTokens(*served, variant);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelVariantsTest,
                         ::testing::Range(size_t{0}, ModelVariants()["variants"].size()),
                         [](const auto& info) {
                           std::string name = ModelVariants()["variants"][info.param]["name"];
                           for (char& c : name) c = absl::ascii_isalnum(c) ? c : '_';
                           return absl::StrFormat("%03d_%s", info.param, name);
                         });

}  // namespace
}  // namespace varserve::model
