#include "server/model/vision_language_model.h"

#include <ATen/ATen.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/checkpoint.h"
#include "server/model/device.h"
#include "server/model/torch_errors.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

absl::StatusOr<std::unique_ptr<const VisionLanguageModel>> VisionLanguageModel::Load(
    const Options& options, ModelConfig config, const image::ImageShape& largest) {
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(options.device));
  ASSIGN_OR_RETURN(std::optional<VarProfile> profile,
                   FindVarProfile(options.model_dir, config.decoder, options.var_profile));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(options.model_dir, *config.family));
  if (config.dtype.empty()) config.dtype = checkpoint.Dtype();
  const bool stored_quantized = config.quantization.format != QuantizationConfig::Format::kNone;
  const bool quantize = options.quantize_bits > 0 || stored_quantized;
  const std::string dtype_flag = quantize && options.dtype == "auto" ? "bfloat16" : options.dtype;
  ASSIGN_OR_RETURN(const at::ScalarType dtype, ChooseDtype(dtype_flag, config.dtype, device));
  if (quantize && dtype == at::kFloat) {
    return absl::FailedPreconditionError(
        stored_quantized
            ? "--dtype: float32 cannot be combined with config.json: quantization_config; "
              "use --dtype bfloat16"
            : "--quantize: is for weights that are served in 16 bits; use it with --dtype bfloat16");
  }
  if (config.decoder.tie_word_embeddings) config.decoder.tie_word_embeddings = checkpoint.TieEmbeddings();

  std::unique_ptr<VisionLanguageModel> model(new VisionLanguageModel(std::move(config), device, dtype));
  const ModelConfig& c = model->config_;
  model->var_profile_ = std::move(profile);
  if (stored_quantized) {
    model->quantization_ = absl::StrCat("int", c.quantization.bits, " (", c.quantization.name, ")");
  } else if (quantize) {
    model->quantization_ = absl::StrCat("int", options.quantize_bits);
  }
  RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    ASSIGN_OR_RETURN(
        backend::Backend backend,
        backend::MakeBackend(options.backend, {.device = device,
                                               .dtype = dtype,
                                               .heads = {c.decoder.num_attention_heads,
                                                         c.decoder.num_key_value_heads, c.decoder.head_dim},
                                               .quantized = quantize,
                                               .kernels = options.kernels}));
    model->backend_ = std::make_unique<const backend::Backend>(std::move(backend));
    const backend::LayerOps& ops = model->backend_->ops();
    WeightLoader weights(checkpoint, c.quantization, ops, device, dtype, options.quantize_bits);
    model->image_encoder_ = MakeImageEncoder(c, largest, weights, ops, ops.ActivationDtype(dtype));
    model->decoder_ = std::make_unique<Decoder>(
        c.decoder, model->var_profile_ ? model->var_profile_->sink_dimensions : std::vector<int32_t>{},
        weights, *model->backend_, device, dtype);
    model->weight_bytes_ = weights.bytes();
    if (weights.status().ok() && stored_quantized && weights.num_quantized() == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("config.json: quantization_config says ", c.quantization.name,
                       ", but the decoder's weights are not stored like that"));
    }
    return weights.status();
  }));
  return model;
}

}  // namespace varserve::model
