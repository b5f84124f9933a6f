// Names of tensors and files. What else can be wrong with weights is in model_variants_test.
#include "server/model/checkpoint.h"

#include <gmock/gmock.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/testing/temp_dir.h"

namespace varserve::model {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A file of tensors of two float16 numbers each.
std::string File(const std::vector<std::string>& names, const std::string& data) {
  nlohmann::json header;
  int offset = 0;
  for (const std::string& name : names) {
    header[name] = {{"dtype", "F16"}, {"shape", {2}}, {"data_offsets", {offset, offset + 4}}};
    offset += 4;
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + text + data;
}

TEST(CheckpointTest, OneNameForBothGenerations) {
  const std::pair<const char*, const char*> cases[] = {
      {"language_model.model.layers.0.mlp.up_proj.weight", "language_model.layers.0.mlp.up_proj.weight"},
      {"model.language_model.layers.0.mlp.up_proj.weight", "language_model.layers.0.mlp.up_proj.weight"},
      {"language_model.lm_head.weight", "lm_head.weight"},
      {"lm_head.weight", "lm_head.weight"},
      {"vision_tower.vision_model.pre_layrnorm.bias", "vision_tower.pre_layrnorm.bias"},
      {"model.vision_tower.pre_layrnorm.bias", "vision_tower.pre_layrnorm.bias"},
      {"model.multi_modal_projector.linear_1.bias", "multi_modal_projector.linear_1.bias"},
  };
  for (const auto& [stored, name] : cases) EXPECT_EQ(kLlava.canonical_weight_name(stored), name);
}

TEST(CheckpointTest, TiesWhatIsEqual) {
  const std::string embeddings = "language_model.model.embed_tokens.weight";
  const auto tied = [](const std::vector<std::string>& names, const std::string& data) {
    const testing::TempDir dir;
    dir.Write("model.safetensors", File(names, data));
    absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir.path(), kLlava);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    const bool result = checkpoint->TieEmbeddings();
    EXPECT_NE(checkpoint->Find("language_model.embed_tokens.weight"), nullptr);
    EXPECT_EQ(checkpoint->Dtype(), "float16");
    return result;
  };
  EXPECT_TRUE(tied({embeddings}, "abcd"));
  EXPECT_TRUE(tied({"lm_head.weight"}, "abcd"));
  EXPECT_TRUE(tied({embeddings, "lm_head.weight"}, "abcdabcd"));
  EXPECT_FALSE(tied({embeddings, "lm_head.weight"}, "abcdabce"));
}

TEST(CheckpointTest, OnlyFilesOfTheDirectoryItself) {
  const testing::TempDir dir;
  const std::string whole = dir.Write("a.safetensors", File({"a"}, "abcd"));
  for (const std::string& name : {whole, std::string("../a.safetensors"), std::string("./a.safetensors"),
                                  std::string("."), std::string(".."), std::string()}) {
    dir.Write("model.safetensors.index.json", nlohmann::json{{"weight_map", {{"a", name}}}}.dump());
    const absl::Status status = Checkpoint::Open(dir.path(), kLlava).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << name << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("model.safetensors.index.json: weight_map: a is in"));
  }
  dir.Write("model.safetensors.index.json", R"({"weight_map": {"a": "a.safetensors"}})");
  EXPECT_TRUE(Checkpoint::Open(dir.path(), kLlava).ok());
}

TEST(CheckpointTest, ATensorInTwoShards) {
  const testing::TempDir dir;
  dir.Write("a.safetensors", File({"x"}, "abcd"));
  dir.Write("b.safetensors", File({"x", "y"}, "abcdabcd"));
  dir.Write("model.safetensors.index.json",
            R"({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}})");
  EXPECT_THAT(std::string(Checkpoint::Open(dir.path(), kLlava).status().message()),
              HasSubstr("b.safetensors: tensor x is stored twice, also in a.safetensors as x"));
}

TEST(CheckpointTest, SaysWhyATensorIsMissing) {
  const testing::TempDir dir;
  dir.Write("model.safetensors", File({"language_model.layers.0.self_attn.q_proj.weight_packed",
                                       "language_model.layers.0.self_attn.k_proj.weight"},
                                      "abcdabcd"));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(dir.path(), kLlava);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const auto why = [&](const char* name) { return std::string(checkpoint->WhyMissing(name).message()); };
  EXPECT_THAT(why("language_model.layers.0.self_attn.q_proj.weight"), HasSubstr("quantized weights"));
  EXPECT_THAT(
      why("language_model.layers.0.self_attn.o_proj.weight"),
      StartsWith("model.safetensors: tensor language_model.layers.0.self_attn.o_proj.weight is missing; "));
  EXPECT_THAT(why("language_model.layers.1.self_attn.o_proj.weight"),
              HasSubstr("so is all of layer 1; config.json: text_config.num_hidden_layers"));
  EXPECT_THAT(why("vision_tower.encoder.layer.0.norm1.weight"), HasSubstr("vision_config.num_hidden_layers"));
  EXPECT_THAT(why("lm_head.weight"), HasSubstr("tie_word_embeddings"));
}

}  // namespace
}  // namespace varserve::model
