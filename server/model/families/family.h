// Model families: what a family's checkpoints have of their own. A family is one file beside this one and one
// row of the table in family.cc; decoder, vision tower and projector are put together from ModelConfig, which
// the family fills in. No torch.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/json_fields.h"

namespace varserve::model {

struct ModelConfig;

// The visual tokens of one image: `leading` tokens that show no place, then a grid, row by row.
struct VisualTokenGrid {
  int rows = 0;
  int cols = 0;
  int leading = 0;
  int size() const { return leading + rows * cols; }
};

// Pure functions, thread-safe.
struct Family {
  const char* model_type;  // in config.json
  const char* name;        // for messages
  // Reads decoder, vision tower, projector and image token out of config.json. What is wrong is remembered in
  // `fields`.
  void (*read_config)(JsonFields& fields, ModelConfig& config);
  // A stored weight's name as the model's parts ask for it: language_model.{embed_tokens,layers.N...,norm},
  // lm_head, vision_tower..., multi_modal_projector....
  std::string (*canonical_weight_name)(const std::string& stored);
  // Of an image of height x width pixels as preprocessing makes it. FAILED_PRECONDITION where the vision
  // tower does not take this size.
  absl::StatusOr<VisualTokenGrid> (*visual_tokens)(const ModelConfig& config, int height, int width);
};

// nullptr if there is none.
const Family* FindFamily(absl::string_view model_type);
// For messages: `LLaVA models, "llava"`.
std::string KnownFamilies();

extern const Family kLlava;  // llava.cc

}  // namespace varserve::model
