#include "server/model/model_config.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/model/published_configs.h"

namespace varserve::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<ModelConfig> Load(const std::string& config,
                                 const std::string& generation = R"({"eos_token_id": 2})") {
  const testing::TempDir dir;
  dir.Write("config.json", config);
  if (!generation.empty()) dir.Write("generation_config.json", generation);
  return ModelConfig::Load(dir.path());
}

std::string Problem(const std::string& config) { return std::string(Load(config).status().message()); }

TEST(ModelConfigTest, ReadsLlavaAsDownloaded) {
  const auto c = Load(kOldHubConfig, R"({"eos_token_id": [2, 7]})");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.hidden_size, 4096);
  EXPECT_EQ(c->decoder.num_hidden_layers, 32);
  EXPECT_EQ(c->decoder.num_key_value_heads, 32);
  EXPECT_EQ(c->decoder.head_dim, 128);
  EXPECT_EQ(c->decoder.vocab_size, 32064);
  EXPECT_EQ(c->decoder.rms_norm_eps, 1e-5);
  EXPECT_EQ(c->decoder.rope.theta, 10000.0);
  EXPECT_FALSE(c->decoder.tie_word_embeddings);
  EXPECT_EQ(c->vision.image_size, 336);
  EXPECT_EQ(c->vision.hidden_act, Activation::kQuickGelu);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(23));  // -2 of 25 hidden states
  EXPECT_TRUE(c->drop_class_token);
  EXPECT_EQ(c->image_token_id, 32000);
  EXPECT_EQ(c->dtype, "float16");
  EXPECT_THAT(c->eos_token_ids, ElementsAre(2, 7));
}

TEST(ModelConfigTest, ReadsNewerFields) {
  const auto c =
      Load(R"({"model_type": "llava", "dtype": "bfloat16", "image_token_id": 99, "tie_word_embeddings": true,
    "vision_feature_layer": [-2, 1], "vision_feature_select_strategy": "full", "multimodal_projector_bias": false,
    "vision_config": {"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "patch_size": 14, "image_size": 518},
    "text_config": {"model_type": "llama", "hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 100,
                    "eos_token_id": 5, "head_dim": 72,
                    "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
                                        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}})",
           /*generation=*/"");
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kDinov2);
  EXPECT_EQ(c->vision.intermediate_size, 4 * 384);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(11, 1));
  EXPECT_FALSE(c->drop_class_token);
  EXPECT_FALSE(c->projector_bias);
  EXPECT_EQ(c->image_token_id, 99);
  EXPECT_TRUE(c->decoder.tie_word_embeddings);
  EXPECT_EQ(c->decoder.head_dim, 72);
  EXPECT_EQ(c->decoder.rope.type, RopeConfig::Type::kLlama3);
  EXPECT_EQ(c->decoder.rope.factor, 32.0);
  EXPECT_EQ(c->dtype, "bfloat16");
  EXPECT_THAT(c->eos_token_ids, ElementsAre(5));
}

TEST(ModelConfigTest, DefaultsAreThoseOfTheConfigurationClasses) {
  constexpr char kTokens[] = R"("model_type": "llava", "image_token_index": 31999)";
  const auto none = Load(absl::StrCat("{", kTokens, "}"));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->decoder.hidden_size, 4096);
  EXPECT_EQ(none->decoder.rms_norm_eps, 1e-6);
  EXPECT_EQ(none->dtype, "");
  const auto shape = [](const ModelConfig& c) {
    return std::vector<int>{c.vision.hidden_size,       c.vision.intermediate_size,
                            c.vision.num_hidden_layers, c.vision.num_attention_heads,
                            c.vision.image_size,        c.vision.patch_size};
  };
  // LlavaConfig's own tower, and CLIPVisionConfig's.
  EXPECT_THAT(shape(*none), ElementsAre(1024, 4096, 24, 16, 336, 14));
  const auto null = Load(absl::StrCat("{", kTokens, R"(, "vision_config": null, "text_config": null})"));
  ASSERT_TRUE(null.ok()) << null.status();
  EXPECT_THAT(shape(*null), ElementsAre(1024, 4096, 24, 16, 336, 14));
  const auto empty = Load(absl::StrCat("{", kTokens, R"(, "vision_config": {}})"));
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_THAT(shape(*empty), ElementsAre(768, 3072, 12, 12, 224, 32));
}

TEST(ModelConfigTest, NamesFileAndField) {
  EXPECT_TRUE(absl::IsNotFound(ModelConfig::Load("/nowhere").status()));
  EXPECT_THAT(Problem("not json"),
              HasSubstr("config.json: not a JSON object: parse error at line 1, column 2"));
  EXPECT_THAT(Problem(R"({"model_type": "qwen3_vl_moe"})"),
              HasSubstr("model_type is \"qwen3_vl_moe\", a mixture of experts, which is not supported"));
  EXPECT_THAT(Problem(R"({"model_type": "unheard_of"})"),
              HasSubstr("model_type is \"unheard_of\"; this server loads only LLaVA"));
  EXPECT_THAT(Problem(R"({"model_type": "internvl_chat"})"),
              HasSubstr("model_type is \"internvl_chat\"; ./dev convert (tools/convert) makes"));
  for (const auto& [type, why] :
       {std::pair("mllama", "by cross-attention"), std::pair("idefics2", "from a resampler"),
        std::pair("gemma3", "attend to later ones")}) {
    const std::string problem = Problem(absl::StrCat(R"({"model_type": ")", type, R"("})"));
    EXPECT_THAT(problem, HasSubstr(why));
    EXPECT_THAT(problem, HasSubstr("VAR"));
  }
  const auto with = [](const std::string& vision, const std::string& text, const std::string& rest = "") {
    const auto config = Load(R"({"model_type": "llava", "vision_config": {)" + vision +
                             R"(}, "text_config": {)" + text + "}" + rest + "}");
    EXPECT_EQ(config.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(config.status().message());
  };
  EXPECT_THAT(with(R"("model_type": "siglip_vision_model")", ""),
              HasSubstr("config.json: vision_config.model_type is \"siglip_vision_model\""));
  EXPECT_THAT(with(R"("hidden_act": "relu")", ""), HasSubstr("vision_config.hidden_act is \"relu\""));
  EXPECT_THAT(with(R"("hidden_size": "big")", ""),
              HasSubstr("vision_config.hidden_size is \"big\", not an integer"));
  EXPECT_THAT(with(R"("hidden_size": 0)", ""), HasSubstr("hidden_size is 0, not in [1"));
  EXPECT_THAT(with(R"("mlp_ratio": 16777216, "model_type": "dinov2")", ""),
              HasSubstr("mlp_ratio is 16777216"));
  EXPECT_THAT(with("", R"("model_type": "gemma")"),
              HasSubstr("text_config.model_type is \"gemma\", which is not supported; supported: llama"));
  EXPECT_THAT(with("", R"("attention_bias": true)"),
              HasSubstr("attention_bias is true, which is not supported; only false is"));
  EXPECT_THAT(with("", R"("num_key_value_heads": 5)"),
              HasSubstr("num_attention_heads is absent, not a multiple"));
  EXPECT_THAT(with("", R"("head_dim": 20)"), HasSubstr("head_dim is 20, not a multiple of 8"));
  EXPECT_THAT(with("", R"("num_hidden_layers": 1025)"), HasSubstr("num_hidden_layers is 1025, not in"));
  EXPECT_THAT(with("", R"("rope_scaling": {"type": "yarn"})"),
              HasSubstr("text_config.rope_scaling.type is \"yarn\""));
  EXPECT_THAT(with("", "", R"(, "vision_feature_layer": 99)"),
              HasSubstr("vision_feature_layer is 99, 99 is not one of the 13 hidden states"));
  EXPECT_THAT(with("", "", R"(, "projector_hidden_act": "silu")"),
              HasSubstr("projector_hidden_act is \"silu\""));
  EXPECT_THAT(with("", "", R"(, "image_token_index": 32000)"),
              HasSubstr("image_token_index is 32000, not below text_config.vocab_size, 32000"));
}

// Each of these ended the process once, or was read as another number.
TEST(ModelConfigTest, OddNumbersAreRefused) {
  for (const char* number : {"1e400", "18446744073709551615", "9223372036854775808", "-9223372036854775809",
                             "1e30", "2.5", "NaN", "{}", "[[1]]", "[18446744073709551615]", "[1e30]"}) {
    for (const char* field : {"vision_feature_layer", "image_token_index", "image_token_id"}) {
      const std::string config = absl::StrCat(R"({"model_type": "llava", ")", field, R"(": )", number, "}");
      EXPECT_FALSE(Load(config).ok()) << config;
    }
    const std::string text = absl::StrCat(
        R"({"model_type": "llava", "image_token_index": 5, "text_config": {"hidden_size": )", number, "}}");
    EXPECT_FALSE(Load(text).ok()) << text;
    const std::string generation = absl::StrCat(R"({"eos_token_id": )", number, "}");
    EXPECT_FALSE(Load(R"({"model_type": "llava", "image_token_index": 5})", generation).ok()) << generation;
  }
}

TEST(ModelConfigTest, Qwen2_5VlAsPublished) {
  const auto c = Load(kQwen2_5VlConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "qwen2_5_vl_text");
  EXPECT_EQ(c->decoder.head_dim, 128);
  EXPECT_TRUE(c->decoder.qkv_bias);
  EXPECT_TRUE(c->decoder.tie_word_embeddings);
  EXPECT_EQ(c->decoder.rope.theta, 1e6);
  EXPECT_THAT(c->decoder.rope.mrope_section, ElementsAre(16, 24, 24));
  EXPECT_EQ(c->decoder.rope.num_axes(), 3);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kQwen2_5Vl);
  EXPECT_EQ(c->vision.hidden_size, 1280);
  EXPECT_EQ(c->vision.intermediate_size, 3420);
  EXPECT_EQ(c->vision.window_size, 112);
  EXPECT_THAT(c->vision.full_attention_layers, ElementsAre(7, 15, 23, 31));
  EXPECT_EQ(c->image_token_id, 151655);
}

TEST(ModelConfigTest, Qwen2VlAsPublished) {
  const auto c = Load(kQwen2VlConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "qwen2_vl_text");
  EXPECT_EQ(c->decoder.num_key_value_heads, 2);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kQwen2Vl);
  EXPECT_EQ(c->vision.hidden_size, 1280);
  EXPECT_EQ(c->vision.intermediate_size, 5120);
  EXPECT_EQ(c->vision.window_size, 0);
  EXPECT_EQ(c->vision.hidden_act, Activation::kQuickGelu);
}

TEST(ModelConfigTest, Qwen3VlAsPublished) {
  const auto c = Load(kQwen3VlConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "qwen3_vl_text");
  EXPECT_EQ(c->decoder.head_dim, 128);
  EXPECT_FALSE(c->decoder.qkv_bias);
  EXPECT_TRUE(c->decoder.qk_norm);
  EXPECT_TRUE(c->decoder.tie_word_embeddings);
  EXPECT_EQ(c->decoder.rope.theta, 5e6);
  EXPECT_THAT(c->decoder.rope.mrope_section, ElementsAre(24, 20, 20));
  EXPECT_TRUE(c->decoder.rope.mrope_interleaved);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kQwen3Vl);
  EXPECT_EQ(c->vision.hidden_size, 1024);
  EXPECT_EQ(c->vision.intermediate_size, 4096);
  EXPECT_EQ(c->vision.patch_size, 16);
  EXPECT_EQ(c->vision.position_side, 48);
  EXPECT_EQ(c->vision.hidden_act, Activation::kGeluTanh);
  EXPECT_THAT(c->vision.deepstack_layers, ElementsAre(5, 11, 17));
  EXPECT_EQ(c->image_token_id, 151655);
}

TEST(ModelConfigTest, LlavaNextAsPublished) {
  const auto c = Load(kLlavaNextConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "mistral");
  EXPECT_EQ(c->decoder.num_key_value_heads, 8);
  EXPECT_EQ(c->decoder.rope.theta, 1e6);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kClip);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(23));
  EXPECT_TRUE(c->drop_class_token);
  EXPECT_TRUE(c->image_newline);
  EXPECT_EQ(c->image_grid_pinpoints, image::LlavaNextPinpoints());
  EXPECT_EQ(c->image_token_id, 32000);
}

TEST(ModelConfigTest, LlavaNextNeedsTheClassTokenDropped) {
  EXPECT_THAT(
      Problem(
          R"({"model_type": "llava_next", "image_token_index": 5, "vision_feature_select_strategy": "full"})"),
      HasSubstr("config.json: vision_feature_select_strategy is \"full\""));
  EXPECT_THAT(
      Problem(R"({"model_type": "llava_next", "image_token_index": 5, "image_grid_pinpoints": [[1, 0]]})"),
      HasSubstr("config.json: image_grid_pinpoints is [[1,0]]"));
}

TEST(ModelConfigTest, LlavaOnevisionAsPublished) {
  const auto c = Load(kOnevisionConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "qwen2");
  EXPECT_TRUE(c->decoder.qkv_bias);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kSiglip);
  EXPECT_EQ(c->vision.layer_norm_eps, 1e-6);
  EXPECT_EQ(c->vision.hidden_act, Activation::kGeluTanh);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(26));
  EXPECT_FALSE(c->drop_class_token);
  EXPECT_TRUE(c->image_newline);
  EXPECT_EQ(c->anyres_max, 9);
  EXPECT_EQ(c->image_grid_pinpoints.size(), 36U);
  EXPECT_EQ(c->image_token_id, 151646);
  EXPECT_THAT(Problem(R"({"model_type": "llava_onevision", "vision_aspect_ratio": "anyres"})"),
              HasSubstr("config.json: vision_aspect_ratio is \"anyres\", not anyres_max_N"));
}

TEST(ModelConfigTest, InternVlAsPublished) {
  const auto c = Load(kInternVlConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "qwen2");
  EXPECT_EQ(c->decoder.head_dim, 64);
  EXPECT_EQ(c->decoder.rope.type, RopeConfig::Type::kDefault);  // dynamic, which changes nothing here
  EXPECT_EQ(c->decoder.rope.theta, 1e6);
  EXPECT_TRUE(c->decoder.tie_word_embeddings);  // unless another lm_head is stored
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kInternVit);
  EXPECT_EQ(c->vision.image_size, 448);
  EXPECT_EQ(c->vision.patch_size, 14);
  EXPECT_EQ(c->vision.merge_size, 2);
  EXPECT_TRUE(c->vision.qkv_bias);
  EXPECT_FALSE(c->vision.qk_norm);
  EXPECT_EQ(c->vision.hidden_act, Activation::kGelu);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(24));
  EXPECT_TRUE(c->projector_norm);
  EXPECT_EQ(c->image_token_id, 151667);
}

TEST(ModelConfigTest, SmolVlmAsPublished) {
  const auto c = Load(kSmolVlmConfig);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.model_type, "llama");
  EXPECT_EQ(c->decoder.num_attention_heads, 9);
  EXPECT_EQ(c->decoder.num_key_value_heads, 3);
  EXPECT_EQ(c->decoder.rope.theta, 1e5);
  EXPECT_FALSE(c->decoder.tie_word_embeddings);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kIdefics3);
  EXPECT_EQ(c->vision.num_hidden_layers, 12);
  EXPECT_EQ(c->vision.intermediate_size, 3072);
  EXPECT_EQ(c->vision.merge_size, 4);
  EXPECT_EQ(c->vision.hidden_act, Activation::kGeluTanh);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(12));
  EXPECT_EQ(c->projector_layers, 1);
  EXPECT_FALSE(c->projector_bias);
  EXPECT_EQ(c->image_token_id, 49190);
  EXPECT_THAT(Problem(R"({"model_type": "smolvlm"})"), HasSubstr("config.json: text_config is missing"));
}

}  // namespace
}  // namespace varserve::model
