// config.json and generation_config.json of a Hugging Face model directory, with the meaning transformers
// gives them (docs/models.md). Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/grid_pinpoints.h"
#include "server/model/decoder_config.h"
#include "server/model/families/family.h"
#include "server/model/quantization_config.h"
#include "server/model/vision_config.h"

namespace varserve::model {

struct ModelConfig {
  const Family* family = nullptr;
  VisionConfig vision;
  DecoderConfig decoder;
  // Indices into the tower's hidden states, 0 being the embeddings; not negative.
  std::vector<int> vision_feature_layers;
  bool drop_class_token = true;  // vision_feature_select_strategy "default"
  bool projector_bias = true;
  bool projector_norm = false;  // a layer norm of the projector's input
  int projector_layers = 2;
  // LLaVA-NeXT, LLaVA-OneVision: features of tiles are joined, with a weight after each of their rows.
  bool image_newline = false;
  std::vector<image::GridPinpoint> image_grid_pinpoints;
  int anyres_max = 0;  // N of vision_aspect_ratio anyres_max_N; LLaVA-OneVision only
  int32_t image_token_id = 0;
  std::string dtype;  // float32, float16, bfloat16; empty: that of the weights
  std::vector<int32_t> eos_token_ids;
  QuantizationConfig quantization;

  // Reads DIR/config.json and, if there, DIR/generation_config.json. NOT_FOUND or FAILED_PRECONDITION naming
  // file and field.
  static absl::StatusOr<ModelConfig> Load(const std::string& model_dir);

  // `generation` is null if there is no such file.
  static absl::StatusOr<ModelConfig> Parse(const nlohmann::json& config, const nlohmann::json* generation);
};

}  // namespace varserve::model
