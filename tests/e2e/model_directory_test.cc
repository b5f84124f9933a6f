// Model directories that cannot be served: the server ends with exit code 1 and one line that says why. What
// the fields of a directory mean is model_variants_test's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/files.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;

// The line the server ends with, given this directory and these flags.
std::string LastLine(const std::string& dir, const std::vector<std::string>& flags = {}) {
  ServerProcess server(dir, flags);
  EXPECT_FALSE(server.WaitUntilReady());
  EXPECT_EQ(server.WaitForExit(), 1);
  const std::vector<std::string> lines = absl::StrSplit(server.Log(), '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, ::testing::Not(::testing::IsEmpty()));
  EXPECT_THAT(lines.back(), HasSubstr("Z error   "));
  return lines.back();
}

TEST(ModelDirectory, Absent) {
  ServerProcess server("/nonexistent");
  EXPECT_EQ(server.WaitForExit(), 1);
  EXPECT_THAT(server.Log(), HasSubstr("varserve-server: --model: /nonexistent does not exist"));
}

TEST(ModelDirectory, MissingWeights) {
  const ServableModel model;
  model.Remove("model.safetensors");
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("safetensors"));
}

TEST(ModelDirectory, MissingShard) {
  const ServableModel model;
  model.Remove("model.safetensors");
  nlohmann::json index = {{"weight_map", nlohmann::json::object()}};
  for (const auto& [name, tensor] : model.tiny().weights())
    index["weight_map"][name] = "model-00002-of-00002.safetensors";
  model.Write("model.safetensors.index.json", index.dump());
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("model-00002-of-00002.safetensors"));
}

TEST(ModelDirectory, WrongShape) {
  const ServableModel model;
  FileTensors weights = model.tiny().weights();
  const std::string name = "language_model.model.layers.1.self_attn.k_proj.weight";
  ASSERT_TRUE(weights.contains(name));
  weights[name].shape = {weights[name].shape[0] * 2, weights[name].shape[1] / 2};
  WriteSafetensors(model.dir() + "/model.safetensors", weights);
  const std::string line = LastLine(model.dir());
  EXPECT_THAT(line, HasSubstr("layers.1.self_attn.k_proj.weight"));
  EXPECT_THAT(line, HasSubstr("shape"));
}

TEST(ModelDirectory, MissingTensor) {
  const ServableModel model;
  FileTensors weights = model.tiny().weights();
  ASSERT_EQ(weights.erase("language_model.model.norm.weight"), 1);
  WriteSafetensors(model.dir() + "/model.safetensors", weights);
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("norm.weight"));
}

TEST(ModelDirectory, AWeightThatIsNotFinite) {
  const ServableModel model;
  FileTensors weights = model.tiny().weights();
  const std::string name = "language_model.model.layers.1.self_attn.k_proj.weight";
  weights.at(name).values.assign(weights[name].values.size(), std::numeric_limits<float>::quiet_NaN());
  WriteSafetensors(model.dir() + "/model.safetensors", weights);
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("tensor " + name + " has a value that is not finite"));
}

TEST(ModelDirectory, TruncatedFile) {
  const ServableModel model;
  const std::string whole = ReadFile(model.dir() + "/model.safetensors");
  model.Write("model.safetensors", whole.substr(0, whole.size() / 2));
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("model.safetensors"));
}

TEST(ModelDirectory, UnknownArchitecture) {
  const ServableModel model;
  nlohmann::json config = model.ReadJson("config.json");
  config["model_type"] = "qwen2_vl";
  model.Write("config.json", config.dump());
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("qwen2_vl"));
}

TEST(ModelDirectory, ConfigIsNoJson) {
  const ServableModel model;
  model.Write("config.json", "{");
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("config.json"));
}

TEST(ModelDirectory, MissingTokenizer) {
  const ServableModel model;
  model.Remove("tokenizer.json");
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("tokenizer.json"));
}

TEST(ModelDirectory, TemplateThatPrintsItsLists) {
  const ServableModel model;
  model.Write("chat_template.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}");
  EXPECT_THAT(LastLine(model.dir()),
              HasSubstr("chat template: it cannot be used with an image and a question: "));
}

// A token that was added to the tokenizer, but not to the model's 160.
TEST(ModelDirectory, TemplateWithATokenBeyondTheVocabulary) {
  const ServableModel model;
  nlohmann::json tokenizer = model.ReadJson("tokenizer.json");
  nlohmann::json added = tokenizer["added_tokens"][0];
  added["id"] = 160;
  added["content"] = "<end>";
  tokenizer["added_tokens"].push_back(added);
  model.Write("tokenizer.json", tokenizer.dump());
  const std::string path = model.dir() + "/chat_template.jinja";
  model.Write("chat_template.jinja", ReadFile(path) + "<end>");
  EXPECT_THAT(LastLine(model.dir()), HasSubstr("token 160 of \"<end>\", but the model has only 160 tokens"));
}

TEST(ModelDirectory, TheTemplateMayEndWithThePicture) {
  const ServableModel model;
  model.Write("chat_template.jinja", "Look at this: <image>");
  ServerProcess server(model.dir(), {});
  EXPECT_TRUE(server.WaitUntilReady()) << server.Log();
}

TEST(Flags, Bad) {
  const ServableModel model;
  EXPECT_THAT(LastLine(model.dir(), {"--dtype=int3"}), HasSubstr("--dtype: "));
  EXPECT_THAT(LastLine(model.dir(), {"--device=abacus"}), HasSubstr("--device: "));
  EXPECT_THAT(LastLine(model.dir(), {"--memory_budget=1M"}), HasSubstr("--memory_budget: "));
  EXPECT_THAT(LastLine(model.dir(), {"--token_file=/nonexistent"}), HasSubstr("--token_file: "));
  EXPECT_THAT(LastLine(model.dir(), {"--tls_cert=/nonexistent"}), HasSubstr("--tls_cert, --tls_key: "));
}

TEST(Flags, ANameThatNoClientCouldGive) {
  const ServableModel model;
  ServerProcess server(model.dir(), {"--model_name=two\nlines"});
  EXPECT_EQ(server.WaitForExit(), 1);
  EXPECT_THAT(server.Log(),
              HasSubstr("varserve-server: --model_name: \"two\\nlines\" has a control character"));
}

TEST(Flags, CudaThatIsNotThere) {
  const ServableModel model;
  EXPECT_THAT(LastLine(model.dir(), {"--device=cuda"}), HasSubstr("--device: "));
}

}  // namespace
}  // namespace varserve::testing
