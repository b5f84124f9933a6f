// A LLaVA model in memory: vision tower, projector, decoder, and the operations they run on. Const after
// Load.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/attention/attention_backend.h"
#include "server/model/decoder.h"
#include "server/model/layer_ops.h"
#include "server/model/model_config.h"
#include "server/model/projector.h"
#include "server/model/var_profile.h"
#include "server/model/vision_tower.h"

namespace varserve::model {

class LlavaModel {
 public:
  struct Options {
    std::string model_dir;
    std::string device = "auto";
    std::string dtype = "auto";
    int image_height = 0;  // pixels, as preprocessing makes them
    int image_width = 0;
    VarProfileOverride var_profile;
    // Tensor operators instead of the CPU's kernels: slower, and the same numbers up to rounding. Tests
    // compare the two.
    bool tensor_operators = false;
  };

  // Reads the configuration and all weights. Messages name the file and the field or tensor.
  static absl::StatusOr<std::unique_ptr<const LlavaModel>> Load(const Options& options);

  // Runs one image. pixels: [3, H, W] float32 => visual tokens [P, C] in the activation dtype
  at::Tensor EncodeImage(const at::Tensor& pixels) const {
    return projector_->Forward(tower_->Forward(pixels));
  }

  const ModelConfig& config() const { return config_; }
  const Decoder& decoder() const { return *decoder_; }
  const attention::AttentionBackend& attention() const { return *attention_; }
  const std::optional<VarProfile>& var_profile() const { return var_profile_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Visual tokens of one image: a grid, behind the class token where the configuration keeps it.
  int num_visual_tokens() const { return grid_rows_ * grid_cols_ + (config_.drop_class_token ? 0 : 1); }
  int grid_rows() const { return grid_rows_; }
  int grid_cols() const { return grid_cols_; }

 private:
  LlavaModel(ModelConfig config, at::Device device, at::ScalarType dtype)
      : config_(std::move(config)), device_(device), dtype_(dtype) {}

  const ModelConfig config_;
  const at::Device device_;
  const at::ScalarType dtype_;
  int grid_rows_ = 0;
  int grid_cols_ = 0;
  int64_t weight_bytes_ = 0;
  std::optional<VarProfile> var_profile_;
  std::unique_ptr<LayerOps> ops_;
  std::unique_ptr<attention::AttentionBackend> attention_;
  std::unique_ptr<VisionTower> tower_;
  std::unique_ptr<Projector> projector_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace varserve::model
