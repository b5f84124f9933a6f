#include "server/warm_up.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve {

absl::StatusOr<std::shared_ptr<const Prompt>> GreyQuestion(const chat::Preprocessor& preprocessor,
                                                           int context) {
  ASSIGN_OR_RETURN(ProcessedImage picture,
                   preprocessor.image_processor().Process({.width = 1, .height = 1, .rgb = {128, 128, 128}}));
  const text::Message question{text::Role::kUser, {text::ImagePart{}, "What is in the image?"}};
  absl::StatusOr<Prompt> built = preprocessor.prompt_builder().Build(
      {&question, 1}, {{std::make_shared<const ProcessedImage>(std::move(picture))}}, context);
  if (!built.ok()) {
    return absl::Status(
        built.status().code(),
        absl::StrCat("no question about a small picture can be asked: ", built.status().message()));
  }
  return std::make_shared<const Prompt>(*std::move(built));
}

absl::Status WarmUp(std::shared_ptr<const Prompt> question, engine::ModelRunner& runner) {
  engine::GenerationRequest request;
  request.prompt = std::move(question);
  const int prompt_size = request.prompt->size();
  const int prefix_size = request.prompt->prefix_size();
  const engine::SlotLayout layout(prefix_size, runner.facts().block_size);
  const int num_blocks = layout.NumBlocks(prompt_size + 1);
  if (num_blocks > runner.facts().num_kv_blocks) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "--memory_budget: the KV cache of ", runner.facts().num_kv_blocks,
        " blocks cannot hold a question about an image, which takes ", num_blocks, "; raise it"));
  }
  std::vector<engine::BlockId> blocks(num_blocks);
  std::iota(blocks.begin(), blocks.end(), 0);

  const auto run = [&](std::vector<engine::SequenceStep> steps) -> absl::StatusOr<int32_t> {
    for (engine::SequenceStep& step : steps) {
      step.request = &request;
      step.blocks = blocks;
    }
    steps.back().sample = true;
    ASSIGN_OR_RETURN(const engine::StepOutput output, runner.Execute({.steps = steps}, [] {}));
    RETURN_IF_ERROR(output.results.back().status);
    return output.results.back().token->id;
  };
  // Templates may end with the picture. Before text, one chunk of the prefix runs all code, and more takes
  // large models on CPUs half a minute. The text then sees slots that are clear.
  const bool has_text = prefix_size < prompt_size;
  const int chunk = has_text ? std::min(prefix_size, runner.facts().prefill_chunk) : prefix_size;
  std::vector<engine::SequenceStep> prefill = {{.begin = 0, .end = chunk, .encode_images = {0}}};
  if (has_text) prefill.push_back({.begin = prefix_size, .end = prompt_size});
  ASSIGN_OR_RETURN(const int32_t first, run(std::move(prefill)));
  const std::vector<int32_t> generated = {first};
  RETURN_IF_ERROR(run({{.generated = generated, .begin = prompt_size, .end = prompt_size + 1}}).status());
  runner.Release(0);
  return runner.ClearBlocks(blocks);
}

}  // namespace varserve
