// Model families: what differs between the checkpoints of families. A family is one file next to this one and
// one row of the table in family.cc. Decoder, vision tower and projector are built from ModelConfig, which
// the family fills in. No torch.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/json_fields.h"
#include "server/image/image_processor.h"

namespace varserve::model {

struct ModelConfig;

// Pure functions, thread-safe.
struct Family {
  const char* model_type;  // in config.json
  const char* name;        // for messages
  const char*
      image_token;  // that its processor writes for a picture if no file names another one; "": one must
  // The image token's name in tokenizer_config.json, and those of the tokens that the processor writes around
  // an image, "" where the chat template writes them itself.
  const char* image_token_name = "image_token";
  const char* image_start_name = "";
  const char* image_end_name = "";
  // Reads decoder, vision tower, projector and image token out of config.json. Records errors in
  // `fields`.
  void (*read_config)(JsonFields& fields, ModelConfig& config);
  // The name by which the model asks for a stored weight: language_model.{embed_tokens,layers.N...,norm},
  // lm_head, vision_tower..., multi_modal_projector.... Qwen's projector, the merger, is part of the tower.
  std::string (*canonical_weight_name)(const std::string& stored);
  // Preprocessing of pictures, and the tokens of an image in the prompt. Reads the directory's
  // preprocessor_config.json and processor_config.json. Errors name file and field, also if they disagree
  // with config.json. max_image_tokens: the most visual tokens of an image; 0: what the files say.
  // INVALID_ARGUMENT if the family's images all have one size. encode: the directory's tokenizer.
  absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> (*image_processor)(
      const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
      image::TextEncoder encode);
};

// nullptr if there is none.
const Family* FindFamily(absl::string_view model_type);
// For messages: `LLaVA models, "llava"`.
std::string KnownFamilies();
// For messages about a model type that has no family: why, or what to do; "" if nothing is known of it.
std::string WhyNoFamily(absl::string_view model_type);

extern const Family kLlava;           // llava.cc
extern const Family kLlavaNext;       // llava_next.cc
extern const Family kLlavaOnevision;  // llava_next.cc
extern const Family kQwen2Vl;         // qwen2_vl.cc
extern const Family kQwen2_5Vl;       // qwen2_vl.cc
extern const Family kQwen3Vl;         // qwen2_vl.cc
extern const Family kInternVl;        // internvl.cc
extern const Family kIdefics3;        // smolvlm.cc
extern const Family kSmolVlm;         // smolvlm.cc
extern const Family kVila;            // vila.cc

}  // namespace varserve::model
