// A vision-language model in memory: vision tower, projector, decoder, and the backend they run on. Const
// after Load.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/backend.h"
#include "server/model/decoder.h"
#include "server/model/model_config.h"
#include "server/model/projector.h"
#include "server/model/var_profile.h"
#include "server/model/vision_tower.h"

namespace varserve::model {

class VisionLanguageModel {
 public:
  struct Options {
    std::string model_dir;
    std::string device = "auto";
    std::string dtype = "auto";
    VarProfileOverride var_profile;
    backend::BackendKind backend = backend::BackendKind::kAuto;
  };

  // Reads all weights. `config` is that of the directory; images come in pixels as preprocessing makes them.
  // Messages name the file and the field or tensor.
  static absl::StatusOr<std::unique_ptr<const VisionLanguageModel>> Load(const Options& options,
                                                                         ModelConfig config, int image_height,
                                                                         int image_width);

  // Runs one image. pixels: [3, H, W] float32 => visual tokens [P, C] in the activation dtype
  at::Tensor EncodeImage(const at::Tensor& pixels) const {
    return projector_->Forward(tower_->Forward(pixels));
  }

  const ModelConfig& config() const { return config_; }
  const Decoder& decoder() const { return *decoder_; }
  const backend::Backend& backend() const { return *backend_; }
  const std::optional<VarProfile>& var_profile() const { return var_profile_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Of one image.
  const VisualTokenGrid& visual_tokens() const { return visual_tokens_; }

 private:
  VisionLanguageModel(ModelConfig config, at::Device device, at::ScalarType dtype)
      : config_(std::move(config)), device_(device), dtype_(dtype) {}

  const ModelConfig config_;
  const at::Device device_;
  const at::ScalarType dtype_;
  VisualTokenGrid visual_tokens_;
  int64_t weight_bytes_ = 0;
  std::optional<VarProfile> var_profile_;
  std::unique_ptr<const backend::Backend> backend_;
  std::unique_ptr<VisionTower> tower_;
  std::unique_ptr<Projector> projector_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace varserve::model
