#include "server/model/var_profile.h"

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/model/model_config.h"
#include "tests/testing/temp_dir.h"

namespace varserve::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

DecoderConfig Vicuna7B() {
  DecoderConfig c;
  c.hidden_size = 4096;
  c.intermediate_size = 11008;
  c.model_type = "llama";
  c.num_hidden_layers = 32;
  c.num_attention_heads = 32;
  c.num_key_value_heads = 32;
  c.vocab_size = 32064;
  return c;
}

TEST(VarProfileTest, PublishedDecodersAreKnownByTheirShape) {
  const testing::TempDir dir;
  const auto profile = FindVarProfile(dir.path(), Vicuna7B(), {});
  ASSERT_TRUE(profile.ok() && profile->has_value());
  EXPECT_THAT((*profile)->sink_dimensions, ElementsAre(1415, 2533));
  EXPECT_EQ((*profile)->tau, 20.0F);
  EXPECT_THAT((*profile)->source, HasSubstr("2503.03321"));
}

TEST(VarProfileTest, MistralsIsOfMassiveActivations) {
  DecoderConfig c = Vicuna7B();
  c.model_type = "mistral";
  c.num_key_value_heads = 8;
  c.intermediate_size = 14336;
  const auto profile = PublishedVarProfile(c);
  ASSERT_TRUE(profile.has_value());
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(2070));
  EXPECT_THAT(profile->source, HasSubstr("2402.17762"));
  c.vocab_size = 128320;  // Llama 3's
  EXPECT_FALSE(PublishedVarProfile(c).has_value());
}

// With LLaVA-OneVision's vocabulary.
TEST(VarProfileTest, Qwen2_7BHasThoseOfQwen2Vl) {
  DecoderConfig c;
  c.model_type = "qwen2";
  c.hidden_size = 3584;
  c.intermediate_size = 18944;
  c.num_hidden_layers = c.num_attention_heads = 28;
  c.num_key_value_heads = 4;
  c.vocab_size = 152000;
  const auto profile = PublishedVarProfile(c);
  ASSERT_TRUE(profile.has_value());
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(458, 2570));
  EXPECT_THAT(profile->source, HasSubstr("Qwen2-VL-7B"));
}

// The paper's D_sink of VILA-13B, whose decoder is Llama-2-13B with its own vocabulary.
TEST(VarProfileTest, Vila13B) {
  const auto profile = PublishedVarProfile({.model_type = "llama",
                                            .hidden_size = 5120,
                                            .intermediate_size = 13824,
                                            .num_hidden_layers = 40,
                                            .num_attention_heads = 40,
                                            .num_key_value_heads = 40,
                                            .vocab_size = 32000});
  ASSERT_TRUE(profile.has_value());
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(2100, 4743));
  EXPECT_EQ(profile->tau, 20.0F);
}

TEST(VarProfileTest, OtherDecodersHaveNone) {
  const testing::TempDir dir;
  DecoderConfig c = Vicuna7B();
  c.num_hidden_layers = 31;
  EXPECT_EQ(FindVarProfile(dir.path(), c, {}).value(), std::nullopt);
  EXPECT_THAT(FindVarProfile(dir.path(), c, {.sink_dimensions = {}, .tau = 5.0F}).status().message(),
              HasSubstr("--tau: this model has no VAR profile; give --sink_dimensions, too"));
  EXPECT_THAT(FindVarProfile(dir.path(), c, {.sink_dimensions = {4096}}).status().message(),
              HasSubstr("--sink_dimensions: 4096 is not in [0, 4095]"));
}

// A directory whose config.json describes the decoder.
absl::StatusOr<ModelConfig> Load(const PublishedDecoder& d, int vocab_size) {
  const testing::TempDir dir;
  dir.Write("generation_config.json", R"({"eos_token_id": 2})");
  const std::string type(d.model_type);
  const std::string family = type == "llama"     ? "llava"
                             : type == "mistral" ? "llava_next"
                             : type == "qwen2"   ? "llava_onevision"
                             : type == "qwen3"   ? "internvl"
                                                 : std::string(absl::StripSuffix(type, "_text"));
  const char* const out_key = family == "qwen2_vl" ? "hidden_size" : "out_hidden_size";
  nlohmann::json config = {{"model_type", family},
                           {"image_token_id", vocab_size - 1},
                           {"text_config",
                            {{"model_type", d.model_type},
                             {"hidden_size", d.hidden_size},
                             {"num_hidden_layers", d.num_hidden_layers},
                             {"num_attention_heads", d.num_attention_heads},
                             {"num_key_value_heads", d.num_key_value_heads},
                             {"intermediate_size", d.intermediate_size},
                             {"vocab_size", vocab_size}}}};
  if (type == "mistral") config["text_config"]["sliding_window"] = nullptr;
  if (family != type && absl::StartsWith(family, "qwen")) config["vision_config"][out_key] = d.hidden_size;
  dir.Write("config.json", config.dump());
  return ModelConfig::Load(dir.path());
}

TEST(VarProfileTest, EveryPublishedDecoderCanBeReachedAndNoneIsAnother) {
  for (const PublishedDecoder& decoder : PublishedDecoders()) {
    for (const int vocab_size :
         {decoder.vocab_size, decoder.vocab_size + PublishedDecoder::kMaxAddedTokens}) {
      const auto config = Load(decoder, vocab_size);
      ASSERT_TRUE(config.ok()) << decoder.profile.decoder << ": " << config.status();
      int matches = 0;
      for (const PublishedDecoder& other : PublishedDecoders()) matches += other.Is(config->decoder) ? 1 : 0;
      EXPECT_EQ(matches, 1) << decoder.profile.decoder;
      EXPECT_EQ(PublishedVarProfile(config->decoder)->decoder, decoder.profile.decoder);
    }
    EXPECT_FALSE(decoder.Is(Load(decoder, decoder.vocab_size - 1)->decoder));
  }
}

TEST(VarProfileTest, TheSameShapeWithAnotherVocabularyIsAnotherDecoder) {
  DecoderConfig c = Vicuna7B();
  EXPECT_EQ(PublishedVarProfile(c)->decoder, "Llama-2-7B / Vicuna-7B");
  c.vocab_size = 128320;
  EXPECT_FALSE(PublishedVarProfile(c).has_value());
}

TEST(VarProfileTest, TheDirectoryOverridesTheTableAndFlagsOverrideBoth) {
  const testing::TempDir dir;
  dir.Write("var_profile.json",
            R"({"sink_dimensions": [7, 9], "tau": 15.5, "source": "calibrated", "decoder": "mine"})");
  auto profile = FindVarProfile(dir.path(), Vicuna7B(), {}).value();
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(7, 9));
  EXPECT_EQ(profile->tau, 15.5F);
  EXPECT_EQ(profile->source, "model directory: calibrated");
  EXPECT_EQ(profile->decoder, "mine");

  profile = FindVarProfile(dir.path(), Vicuna7B(), {.sink_dimensions = {3}, .tau = 2.0F}).value();
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(3));
  EXPECT_EQ(profile->tau, 2.0F);
  EXPECT_EQ(profile->source, "flag --sink_dimensions");

  profile = FindVarProfile(dir.path(), Vicuna7B(), {.sink_dimensions = {}, .tau = 2.0F}).value();
  EXPECT_THAT(profile->sink_dimensions, ElementsAre(7, 9));
  EXPECT_THAT(profile->source, HasSubstr("tau from flag"));
}

TEST(VarProfileTest, SaysWhatIsWrong) {
  const testing::TempDir dir;
  const auto problem = [&](const std::string& json) {
    dir.Write("var_profile.json", json);
    return std::string(FindVarProfile(dir.path(), Vicuna7B(), {}).status().message());
  };
  EXPECT_THAT(problem("[]"), HasSubstr("var_profile.json: not a JSON object"));
  EXPECT_THAT(problem(R"({"sink_dimensions": [4294967303]})"), HasSubstr("4294967303 is not in [0, 4095]"));
  EXPECT_THAT(problem("{}"), HasSubstr("sink_dimensions: is empty"));
  EXPECT_THAT(problem(R"({"sink_dimensions": [4096]})"), HasSubstr("4096 is not in [0, 4095]"));
  EXPECT_THAT(problem(R"({"sink_dimensions": [1], "tau": 0})"), HasSubstr("tau: is not greater than 0"));
  EXPECT_THAT(problem(R"({"sink_dimensions": ["x"]})"),
              HasSubstr("sink_dimensions is [\"x\"], not an integer"));
  EXPECT_TRUE(absl::IsFailedPrecondition(FindVarProfile(dir.path(), Vicuna7B(), {}).status()));
  dir.Write("var_profile.json", R"({"sink_dimensions": [1]})");
  EXPECT_TRUE(
      absl::IsInvalidArgument(FindVarProfile(dir.path(), Vicuna7B(), {.sink_dimensions = {-1}}).status()));
}

}  // namespace
}  // namespace varserve::model
