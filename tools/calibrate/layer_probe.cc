#include "tools/calibrate/layer_probe.h"

#include <ATen/ATen.h>

#include <numeric>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/device_step.h"
#include "server/model/kv_cache.h"
#include "server/model/torch_errors.h"

namespace varserve::calibrate {
namespace {

using model::KvCache;

// Minimum number of later tokens for a token's share of attention to be known.
constexpr int kLeastRows = 8;

// Attention that tokens get from the rows after them. weights: [R, slots] float32 on the host, means over
// heads; row r is token prefix + r.
std::vector<ReceivedAttention> Received(const at::Tensor& weights, const Prompt& prompt,
                                        const engine::SlotLayout& layout) {
  const int64_t slots = weights.size(1);
  const float* values = weights.const_data_ptr<float>();
  std::vector<ReceivedAttention> received(prompt.size());
  for (int t = 0; t < prompt.size(); ++t) {
    const int first = std::max(t + 1, prompt.prefix_size());
    const int rows = prompt.size() - first;
    if (rows < kLeastRows) continue;
    for (int row = first; row < prompt.size(); ++row) {
      received[t].share += values[(row - prompt.prefix_size()) * slots + layout.SlotOf(t)];
      received[t].even_share += 1.0F / static_cast<float>(row + 1);
    }
    received[t].share /= static_cast<float>(rows);
    received[t].even_share /= static_cast<float>(rows);
  }
  return received;
}

}  // namespace

absl::Status ProbeLayers(const model::VisionLanguageModel& model, std::shared_ptr<const Prompt> prompt,
                         const std::function<void(const ProbedLayer&)>& visit) {
  const int prefix = prompt->prefix_size();
  const int size = prompt->size();
  if (size - prefix <= kLeastRows) {
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt: ", size - prefix, " tokens after the picture are too few; ask a longer question"));
  }
  const model::DecoderConfig& config = model.config().decoder;
  const engine::SlotLayout layout(prefix, KvCache::kBlockSize);
  std::vector<engine::BlockId> blocks(layout.NumBlocks(size));
  std::iota(blocks.begin(), blocks.end(), 0);
  const engine::GenerationRequest request{.prompt = prompt};
  std::vector<int> images(prompt->images.size());
  std::iota(images.begin(), images.end(), 0);
  const engine::StepPlan plan{
      .steps = {{.request = &request, .begin = 0, .end = prefix, .blocks = blocks, .encode_images = images},
                {.request = &request, .begin = prefix, .end = size, .blocks = blocks}}};

  return model::CatchTorchErrors([&] {
    const at::Device device = model.device();
    model::StepInput input(plan,
                           {.num_layers = config.num_hidden_layers,
                            .block_size = KvCache::kBlockSize,
                            .mrope = config.rope.num_axes() > 1},
                           /*padding=*/{});
    // One map of attention for each row.
    const int64_t num_rows = input.batch.num_rows();
    for (int64_t r = 0; r < num_rows; ++r) input.batch.rows[r].map = static_cast<int32_t>(r);
    for (std::vector<uint8_t>& flags : input.batch.map_flags) flags.assign(num_rows, 1);

    KvCache cache(config, static_cast<int64_t>(blocks.size()), model.dtype(), device);
    backend::StepMemory memory(device, /*fixed=*/false);
    model::DeviceStep step(model, {.num_layers = config.num_hidden_layers}, cache, plan, input, memory);
    ProbedLayer probed;
    const auto on_layer = [&](int layer, const at::Tensor& hidden) {
      // At this point the maps hold the previous layer's attention.
      if (layer > 0) {
        at::Tensor& maps = step.evidence().maps;
        const at::Tensor weights = maps.sum(1).select(1, 0) / config.num_attention_heads;
        probed.attention = Received(weights.cpu(), *prompt, layout);
        visit(probed);
        maps.zero_();
      }
      probed.layer = layer;
      probed.hidden = at::cat({hidden.slice(0, num_rows), hidden.slice(0, 0, num_rows)}).to(at::kFloat);
    };
    model::ImageFeatures features(model);
    RETURN_IF_ERROR(features.Encode(plan));
    step.Embed();
    step.Place(features, plan, input);
    step.Forward(on_layer);
    return absl::OkStatus();
  });
}

}  // namespace varserve::calibrate
