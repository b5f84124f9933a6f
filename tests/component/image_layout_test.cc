// Images whose layout has text among the visual tokens.
#include <ATen/ATen.h>

#include <numeric>

#include "server/engine/slot_layout.h"
#include "server/model/device_step.h"
#include "server/model/kv_cache.h"
#include "tests/component/golden.h"
#include "tests/testing/image_span.h"

namespace varserve::model {
namespace {

using testing::TinyModel;

constexpr int kPlaceholder = 159;

// Text, an image of 16 tokens and 2 rows of 8 with newlines, text.
std::shared_ptr<const Prompt> PromptWithNewlines(const TinyModel& tiny) {
  auto prompt = std::make_shared<Prompt>();
  prompt->images = {tiny.Picture(0)};
  const auto layout = prompt->images[0]->layout;
  prompt->token_ids = {3, 4, 5};
  prompt->spans = {{.begin = 3, .end = 3 + layout->size(), .layout = layout}};
  prompt->token_ids.insert(prompt->token_ids.end(), layout->token_ids.begin(), layout->token_ids.end());
  prompt->token_ids.insert(prompt->token_ids.end(), {8, 9});
  return prompt;
}

TEST(ImageLayoutTest, VisualTokensTakeTheirPlacesAmongNewlines) {
  const TinyModel tiny("llava_next");
  const auto model = tiny.Load();
  const engine::GenerationRequest request{.prompt = PromptWithNewlines(tiny)};
  const Prompt& prompt = *request.prompt;
  const int prefix = prompt.prefix_size();
  ASSERT_EQ(prefix, prompt.size() - 2);
  const engine::SlotLayout layout(prefix, KvCache::kBlockSize);
  std::vector<engine::BlockId> blocks(layout.NumBlocks(prompt.size()));
  std::iota(blocks.begin(), blocks.end(), 0);
  const at::Tensor features = model->EncodeImage(*prompt.images[0]).embeddings;  // [34, C]

  // The prefix in pieces that end within a row, at a newline and after it; then the rows.
  ImageFeatures image_features(*model);
  backend::StepMemory memory(model->device(), /*fixed=*/false);
  const engine::ModelFacts facts{.num_layers = model->config().decoder.num_hidden_layers};
  KvCache cache(model->config().decoder, 8, model->dtype(), model->device());
  std::vector<at::Tensor> hidden;
  for (const auto& [begin, end] :
       {std::pair(0, 5), {5, 25}, {25, 27}, {27, 28}, {28, prefix}, {prefix, prompt.size()}}) {
    engine::SequenceStep step{.request = &request, .begin = begin, .end = end, .blocks = blocks};
    if (begin == 0) step.encode_images = {0};
    const engine::StepPlan plan{.steps = {step}};
    ASSERT_TRUE(image_features.Encode(plan).ok());
    const StepInput input(plan, {.num_layers = facts.num_layers, .block_size = KvCache::kBlockSize},
                          /*padding=*/{});
    DeviceStep device_step(*model, facts, cache, plan, input, memory);
    device_step.Embed();
    device_step.Place(image_features, plan, input);
    hidden.push_back(device_step.hidden().clone());
    if (begin < prefix) continue;
    ASSERT_EQ(input.batch.sequences.size(), 1u);
    const std::vector<float>& visual = input.batch.sequences[0].visual;
    for (int t = 0; t < prompt.size(); ++t) {
      const bool is_visual = prompt.token_ids[t] == kPlaceholder && t != 27 && t != 36;  // the newlines
      EXPECT_EQ(visual[layout.SlotOf(t)], is_visual ? 1.0F : 0.0F) << t;
    }
    EXPECT_EQ(std::accumulate(visual.begin(), visual.end(), 0.0F), 32.0F);
  }

  const at::Tensor all = at::cat(hidden);  // [N, C]
  int index = 0;
  for (int t = 0; t < prompt.size(); ++t) {
    const bool in_image = prompt.token_ids[t] == kPlaceholder;
    at::Tensor text = at::empty({1, all.size(1)}, all.options());
    model->decoder().Embed(at::tensor({int64_t{prompt.token_ids[t]}}).to(text.device()), text);
    const at::Tensor expected = in_image ? features[index++] : text[0];
    EXPECT_TRUE(at::equal(all[t], expected)) << "token " << t;
  }
  EXPECT_EQ(index, 34);
  EXPECT_TRUE(at::equal(features[24], features[33])) << "newlines";
}

}  // namespace
}  // namespace varserve::model
