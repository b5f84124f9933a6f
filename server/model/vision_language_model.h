// A vision-language model in memory: image encoder, decoder, and the backend they run on. Const
// after Load.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/table/backend_table.h"
#include "server/base/prompt.h"
#include "server/model/decoder.h"
#include "server/model/image_encoder.h"
#include "server/model/model_config.h"
#include "server/model/var_profile.h"

namespace varserve::model {

class VisionLanguageModel {
 public:
  struct Options {
    std::string model_dir;
    int max_image_tokens = 0;  // see Family::image_processor
    int max_model_len = 0;     // tokens of prompt and answer; 0: the model's max_position_embeddings
    std::string device = "auto";
    std::string dtype = "auto";
    int quantize_bits = 0;  // of the decoder's weights: 8, 4, or 0: as they are stored
    VarProfileOverride var_profile;
    backend::BackendKind backend = backend::BackendKind::kAuto;
    std::shared_ptr<const backend::Kernels> kernels = nullptr;  // see BackendNeeds
  };

  // Reads all weights. `config` is that of the directory; no image is larger than `largest`. Messages name
  // the file and the field or tensor.
  static absl::StatusOr<std::unique_ptr<const VisionLanguageModel>> Load(const Options& options,
                                                                         ModelConfig config,
                                                                         const image::ImageShape& largest);

  EncodedImage EncodeImage(const ProcessedImage& image) const { return image_encoder_->Encode(image); }

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
  int64_t image_workspace_bytes() const { return image_encoder_->workspace_bytes(); }

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
  std::unique_ptr<const ImageEncoder> image_encoder_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace varserve::model
