#include "server/model/llava_model.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/checkpoint.h"
#include "server/model/device.h"
#include "server/model/torch_errors.h"
#include "server/model/weight_loader.h"

namespace varserve::model {
namespace {

absl::Status CheckImageSize(const VisionConfig& vision, int height, int width) {
  const std::string pictures = absl::StrCat("size, crop_size: the image processor makes pictures of ", height,
                                            "x", width, ", but config.json: vision_config.");
  if (height % vision.patch_size != 0 || width % vision.patch_size != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(pictures, "patch_size is ", vision.patch_size, ", of which they are not a multiple"));
  }
  if (vision.kind == VisionConfig::Kind::kClip &&
      (height != vision.image_size || width != vision.image_size)) {
    return absl::FailedPreconditionError(
        absl::StrCat(pictures, "image_size is ", vision.image_size, ", the only size a CLIP tower takes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<const LlavaModel>> LlavaModel::Load(const Options& options) {
  ASSIGN_OR_RETURN(ModelConfig config, ModelConfig::Load(options.model_dir));
  RETURN_IF_ERROR(CheckImageSize(config.vision, options.image_height, options.image_width));
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(options.device));
  ASSIGN_OR_RETURN(std::optional<VarProfile> profile,
                   FindVarProfile(options.model_dir, config.decoder, options.var_profile));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(options.model_dir));
  if (config.dtype.empty()) config.dtype = checkpoint.Dtype();
  ASSIGN_OR_RETURN(const at::ScalarType dtype, ChooseDtype(options.dtype, config.dtype, device));
  if (config.decoder.tie_word_embeddings) config.decoder.tie_word_embeddings = checkpoint.TieEmbeddings();

  std::unique_ptr<LlavaModel> model(new LlavaModel(std::move(config), device, dtype));
  const ModelConfig& c = model->config_;
  model->grid_rows_ = options.image_height / c.vision.patch_size;
  model->grid_cols_ = options.image_width / c.vision.patch_size;
  model->var_profile_ = std::move(profile);
  const bool fused = device.is_cpu() && !options.tensor_operators;
  model->ops_ = fused ? MakeFusedOps() : MakeTensorOps();
  model->attention_ = fused ? attention::MakeFusedAttention() : attention::MakeTensorAttention(device);
  RETURN_IF_ERROR(CatchTorchErrors([&]() -> absl::Status {
    WeightLoader weights(checkpoint, device, dtype);
    model->tower_ = std::make_unique<VisionTower>(c, options.image_height, options.image_width, weights,
                                                  *model->ops_, model->ops_->ActivationDtype(dtype));
    model->projector_ = std::make_unique<Projector>(c, weights, *model->ops_);
    model->decoder_ = std::make_unique<Decoder>(
        c.decoder, model->var_profile_ ? model->var_profile_->sink_dimensions : std::vector<int32_t>{},
        weights, *model->ops_, *model->attention_, device);
    model->weight_bytes_ = weights.bytes();
    return weights.status();
  }));
  return model;
}

}  // namespace varserve::model
