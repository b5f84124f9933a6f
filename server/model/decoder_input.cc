#include "server/model/decoder_input.h"

#include <ATen/ATen.h>

namespace varserve::model {

at::Tensor ToDevice(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device, /*non_blocking=*/true);
}

DecoderInput MakeDecoderInput(const VisionLanguageModel& model, const engine::StepPlan& plan,
                              const StepInput& input, const ImageFeatures& features,
                              const backend::PreparedRows& rows) {
  const at::Device device = model.device();
  DecoderInput tensors{.hidden = model.decoder().Embed(ToDevice(input.token_ids, device)),
                       .positions = ToDevice(input.positions, device),
                       .slots = ToDevice(input.slots, device),
                       .sampled = ToDevice(input.sampled, device),
                       .rows = &rows,
                       .num_rows = input.batch.num_rows(),
                       .prefix = input.prefix};
  for (size_t i = 0; i < plan.steps.size(); ++i)
    features.Place(plan.steps[i], input.places[i].first, tensors.hidden);
  for (size_t i = 0; i < input.prefix.size(); ++i) {
    const auto& blocks = input.prefix_blocks[i];
    backend::PrefixChunk& chunk = tensors.prefix[i];
    chunk.blocks = ToDevice({blocks.begin(), blocks.end()}, device);
    chunk.mask = backend::PrefixMask(chunk.count, chunk.start, tensors.hidden.options());
  }
  return tensors;
}

}  // namespace varserve::model
