// What families that follow LLaVA in transformers have in common: names of weights, fields of config.json,
// and the processor's class. No torch. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/base/json_fields.h"

namespace varserve::model {

inline constexpr char kProcessorFile[] = "processor_config.json";

// Family::canonical_weight_name. Both generations of names: with "model." in front of everything, and with it
// inside language_model.
std::string LlavaWeightName(const std::string& stored);

// vision_feature_layer: indices into the tower's hidden states, not negative. Records errors in `fields`.
std::vector<int> ReadLlavaFeatureLayers(JsonFields& fields, int num_hidden_layers, int fallback);

// image_token_id, below the vocabulary's size. Records errors in `fields`.
int32_t ReadImageTokenId(JsonFields& fields, int vocab_size, int32_t fallback);

// image_token_index, the configurations' own name, which image_token_id overrides. Records errors in
// `fields`.
int32_t ReadLlavaImageToken(JsonFields& fields, int vocab_size, int32_t fallback);

// FAILED_PRECONDITION if the directory's processor is of another class. The first file that names one
// decides, as in transformers.
absl::Status CheckProcessorClass(const std::filesystem::path& model_dir, const char* supported);

// FAILED_PRECONDITION if the processor of LLaVA or LLaVA-NeXT does not make the `expected` number of tokens
// of a picture, or tile, of height x width pixels: transformers then refuses every request with a picture.
absl::Status CheckNumTokens(const std::filesystem::path& model_dir, int height, int width, int expected);

// INVALID_ARGUMENT naming --max_image_tokens if it is set, for a `family` whose images all have one size.
absl::Status CheckOneSize(int max_image_tokens, const char* family);

// FAILED_PRECONDITION if `key` of processor_config.json, or the processor's `fallback`, is not the number of
// tokens of a picture or tile.
absl::Status CheckImageSeqLength(const std::filesystem::path& model_dir, const char* key, int64_t fallback,
                                 int expected, JsonFields::Null null = JsonFields::Null::kWrong);

// Records an error if `key` of processor_config.json, or the processor's `fallback`, is not the number of
// tokens of a tile: transformers then refuses every request with a picture.
void CheckTileTokens(JsonFields& processor, const char* key, int64_t fallback, int expected);

}  // namespace varserve::model
