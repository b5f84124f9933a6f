#include "server/model/decoder_input.h"

#include <ATen/ATen.h>

namespace varserve::model {

DecoderInput MakeDecoderInput(const VisionLanguageModel& model, const engine::StepPlan& plan,
                              const StepInput& input, const ImageFeatures& features,
                              const backend::PreparedRows& rows, StepBuffer& buffer) {
  std::vector<absl::Span<const int64_t>> parts = {input.token_ids, input.positions, input.slots,
                                                  input.sampled};
  parts.insert(parts.end(), input.prefix_blocks.begin(), input.prefix_blocks.end());
  const std::vector<at::Tensor> on_device = buffer.Fill(parts);
  DecoderInput tensors{.hidden = model.decoder().Embed(on_device[0]),
                       .positions = on_device[1],
                       .slots = on_device[2],
                       .sampled = on_device[3],
                       .rows = &rows,
                       .num_rows = input.batch.num_rows(),
                       .prefix = input.prefix};
  for (size_t i = 0; i < plan.steps.size(); ++i)
    features.Place(plan.steps[i], input.places[i].first, tensors.hidden);
  for (size_t i = 0; i < input.prefix.size(); ++i) {
    backend::PrefixChunk& chunk = tensors.prefix[i];
    chunk.blocks = on_device[4 + i];
    chunk.mask = backend::PrefixMask(chunk.count, chunk.start, tensors.hidden.options());
  }
  return tensors;
}

}  // namespace varserve::model
