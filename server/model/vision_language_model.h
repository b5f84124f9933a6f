// A vision-language model in memory: vision tower, projector, decoder, and the backend they run on. Const
// after Load.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/table/backend_table.h"
#include "server/base/prompt.h"
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
    int quantize_bits = 0;  // of the decoder's weights: 8, 4, or 0: as they are stored
    VarProfileOverride var_profile;
    backend::BackendKind backend = backend::BackendKind::kAuto;
    std::shared_ptr<const backend::Kernels> kernels = nullptr;  // see BackendNeeds
  };

  // Reads all weights. `config` is that of the directory; image_height x image_width pixels are the
  // size of the largest image.
  // Messages name the file and the field or tensor.
  static absl::StatusOr<std::unique_ptr<const VisionLanguageModel>> Load(const Options& options,
                                                                         ModelConfig config, int image_height,
                                                                         int image_width);

  // The visual tokens of an image. => [P, C] in the activation dtype, one for each of its layout
  at::Tensor EncodeImage(const ProcessedImage& image) const;

  const ModelConfig& config() const { return config_; }
  const Decoder& decoder() const { return *decoder_; }
  const backend::Backend& backend() const { return *backend_; }
  const std::optional<VarProfile>& var_profile() const { return var_profile_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }
  // int8 or int4, with the checkpoint's format if it is quantized; empty if weights are not quantized.
  const std::string& quantization() const { return quantization_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  // Bytes the vision tower takes at its peak, for the largest image.
  int64_t image_workspace_bytes() const { return tower_->workspace_bytes(); }

 private:
  VisionLanguageModel(ModelConfig config, at::Device device, at::ScalarType dtype)
      : config_(std::move(config)), device_(device), dtype_(dtype) {}

  const ModelConfig config_;
  const at::Device device_;
  const at::ScalarType dtype_;
  int64_t weight_bytes_ = 0;
  std::string quantization_;
  std::optional<VarProfile> var_profile_;
  std::unique_ptr<const backend::Backend> backend_;
  std::unique_ptr<VisionTower> tower_;
  std::unique_ptr<Projector> projector_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace varserve::model
