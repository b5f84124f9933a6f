#include "server/model/step_graphs.h"

#include <algorithm>
#include <bit>

#include "server/model/kv_cache.h"

namespace varserve::model {
namespace {

constexpr int64_t kMostSequences = 64;  // larger steps take long enough to launch kernels one by one
constexpr int64_t kLeastSlots = 256;

int64_t RoundUp(int64_t size) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(size))); }

}  // namespace

StepInput::Padding StepGraphs::PaddingOf(const engine::StepPlan& plan) const {
  if (recorder_ == nullptr || static_cast<int64_t>(plan.steps.size()) > kMostSequences) return {};
  int64_t slots = kLeastSlots;
  for (const engine::SequenceStep& step : plan.steps) {
    const engine::SlotLayout layout(step.request->prompt->prefix_size(), KvCache::kBlockSize);
    if (step.begin < layout.prefix_size() || step.end - step.begin != 1 || !step.needs_logits() || step.map)
      return {};
    slots = std::max<int64_t>(slots, layout.NumBlocks(step.end) * KvCache::kBlockSize);
  }
  const StepInput::Padding shape{.sequences = RoundUp(static_cast<int64_t>(plan.steps.size())),
                                 .slots = RoundUp(slots),
                                 .block = padding_block_};
  const bool may_be_launched = !failed_ || graphs_.contains({shape.sequences, shape.slots});
  return may_be_launched ? shape : StepInput::Padding{};
}

void StepGraphs::Run(const StepInput::Padding& shape, std::optional<int64_t> layout,
                     const std::function<void()>& work) {
  if (recorder_ == nullptr || shape.sequences == 0 || !layout.has_value()) return work();
  if (*layout != layout_) {
    graphs_.clear();
    layout_ = *layout;
  }
  if (const auto found = graphs_.find({shape.sequences, shape.slots}); found != graphs_.end()) {
    found->second->Launch();
    ++launches_;
    return;
  }
  work();
  if (failed_) return;
  absl::StatusOr<std::unique_ptr<const backend::Graph>> recorded = recorder_->Record(work);
  if (recorded.ok()) {
    graphs_.emplace(std::pair(shape.sequences, shape.slots), *std::move(recorded));
  } else {
    failed_ = true;
    if (on_failure_ != nullptr) on_failure_(recorded.status().message());
  }
}

}  // namespace varserve::model
