#include "server/model/memory_plan.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/control_group.h"
#include "server/model/kv_cache.h"

namespace varserve::model {
namespace {

constexpr int kOrdinaryTokens = 2048;  // of a prompt with pictures and its answer

// Bytes this process may still take: what the machine has, or less where a control group limits it.
int64_t FreeHostBytes() {
  int64_t free = 0;
  std::ifstream meminfo("/proc/meminfo");
  std::string key;
  for (int64_t kilobytes = 0; meminfo >> key >> kilobytes; meminfo.ignore(64, '\n')) {
    if (key == "MemAvailable:") free = kilobytes * 1024;
  }
  return std::min(free, ControlGroup().FreeMemory().value_or(free));
}

int64_t FreeBytes(at::Device device) {
  if (device.is_cpu()) return FreeHostBytes();
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  return static_cast<int64_t>(free);
}

int64_t ToMebibytes(int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

}  // namespace

absl::StatusOr<MemoryPlan> PlanMemory(const MemoryNeeds& needs) {
  MemoryPlan plan{.needs = needs};
  const int64_t left = needs.budget - needs.weights - needs.vision_tower - needs.step;
  plan.num_blocks = std::min(left / needs.block_bytes, needs.most_blocks);
  if (left < 0 || plan.num_blocks < 1) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "memory_budget: ", ToMebibytes(needs.budget), " MiB are not enough: weights ",
        ToMebibytes(needs.weights), ", vision tower ", ToMebibytes(needs.vision_tower), ", steps ",
        ToMebibytes(needs.step), " and no room for a KV block of ", ToMebibytes(needs.block_bytes), " MiB"));
  }
  return plan;
}

std::string MemoryPlan::ToTable() const {
  const auto line = [](absl::string_view name, int64_t bytes, const std::string& note) {
    return absl::StrFormat("  %-14s %9d MiB%s\n", name, ToMebibytes(bytes), note);
  };
  const int64_t pool = num_blocks * needs.block_bytes;
  return absl::StrCat(line("weights", needs.weights, ""),
                      line("vision tower", needs.vision_tower, "  peak of one image"),
                      line("step", needs.step, "  activations, logits, explicit rows"),
                      line("KV cache", pool,
                           absl::StrCat("  ", num_blocks, " blocks of ", KvCache::kBlockSize,
                                        " tokens: ", num_blocks * KvCache::kBlockSize, " tokens")),
                      line("budget", needs.budget, ""));
}

MemoryNeeds MeasureNeeds(const LlavaModel& model, const StepLimits& limits, int64_t budget) {
  const ModelConfig& c = model.config();
  const DecoderConfig& d = c.decoder;
  const auto float_bytes = static_cast<int64_t>(sizeof(float));
  const int64_t image_tokens = static_cast<int64_t>(model.grid_rows()) * model.grid_cols() + 1;
  const int64_t step_tokens = limits.max_running + limits.prefill_budget;
  const int64_t qkv = static_cast<int64_t>(d.num_attention_heads + 2 * d.num_key_value_heads) * d.head_dim;

  MemoryNeeds needs;
  needs.weights = model.weight_bytes();
  // Hidden states of every layer are kept until the features are taken, and one layer's inner activations.
  needs.vision_tower = float_bytes * image_tokens *
                       (static_cast<int64_t>(c.vision.hidden_size) * (c.vision.num_hidden_layers + 8) +
                        2 * static_cast<int64_t>(c.vision.intermediate_size));
  // One layer's activations, twice where an operator's input and output live together, with reordered copies
  // of inputs.
  const int64_t activations =
      float_bytes * step_tokens * 2 *
      (4 * static_cast<int64_t>(d.hidden_size) + 2 * qkv + 4 * static_cast<int64_t>(d.intermediate_size));
  const int64_t logits = float_bytes * 3 * limits.max_running * static_cast<int64_t>(d.vocab_size);
  const int64_t evidence = float_bytes * 8 * step_tokens * d.num_hidden_layers * d.num_key_value_heads;
  // Off the CPU the explicit rows' weights exist for all heads at once, and K and V gathered in float32.
  const int64_t rows = model.device().is_cpu() ? 0
                                               : float_bytes * 4 * step_tokens * d.num_attention_heads *
                                                     static_cast<int64_t>(d.max_position_embeddings);
  needs.step = activations + logits + evidence + rows;
  needs.block_bytes = KvCache::BlockBytes(d, model.dtype());
  // Where nothing else is said, sequences of ordinary length for all of the batch; a machine may have other
  // uses for the rest.
  const int64_t longest =
      budget > 0 ? d.max_position_embeddings : std::min(d.max_position_embeddings, kOrdinaryTokens);
  needs.most_blocks = std::max(limits.max_running * (longest / KvCache::kBlockSize + 2),
                               static_cast<int64_t>(d.max_position_embeddings) / KvCache::kBlockSize + 2);
  needs.budget = budget > 0 ? budget : needs.weights + FreeBytes(model.device()) / 10 * 9;
  return needs;
}

}  // namespace varserve::model
