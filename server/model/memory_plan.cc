#include "server/model/memory_plan.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <initializer_list>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/control_group.h"
#include "server/engine/evidence.h"
#include "server/interventions/var/tokens.h"
#include "server/model/kv_cache.h"

namespace varserve::model {
namespace {

constexpr int kOrdinaryTokens = 2048;  // of a prompt with pictures and its answer
// Measured: what rendering and tokenizing a byte of text takes, for texts of up to so many bytes a token.
constexpr int64_t kBytesPerTextByte = 450;
constexpr int64_t kTextBytesPerToken = 8;
constexpr int64_t kGpuLibraries = int64_t{512} << 20;  // cuBLAS's workspaces, recorded graphs
constexpr int64_t kMapCopies = 3;                      // collected, in the reply, and in the reply's bytes

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
  const bool shared = !needs.host_budget.has_value();
  const int64_t others = needs.images + needs.requests + needs.replies;
  const std::string others_text =
      absl::StrCat("images ", ToMebibytes(needs.images), " (--image_memory, --image_cache), requests ",
                   ToMebibytes(needs.requests), " (--receive_memory, --worker_threads), replies ",
                   ToMebibytes(needs.replies), " (--max_running, --max_map_bytes)");
  const int64_t left = needs.budget - needs.weights - needs.vision_tower - needs.step - (shared ? others : 0);
  const int64_t block = needs.block + (shared ? needs.block_evidence : 0);
  plan.num_blocks = std::min(left / block, needs.most_blocks);
  if (left < 0 || plan.num_blocks < 1) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "--memory_budget: ", ToMebibytes(needs.budget), " MiB are not enough: weights ",
        ToMebibytes(needs.weights), ", vision tower ", ToMebibytes(needs.vision_tower), ", steps ",
        ToMebibytes(needs.step), shared ? absl::StrCat(", ", others_text) : "",
        " and no room for a KV block of ", ToMebibytes(block), " MiB; raise it or lower the named flags"));
  }
  if (!shared && others + plan.evidence() > *needs.host_budget) {
    return absl::ResourceExhaustedError(
        absl::StrCat("host memory: ", ToMebibytes(*needs.host_budget), " MiB are not enough: ", others_text,
                     " and evidence ", ToMebibytes(plan.evidence()), "; the model itself is on its GPU"));
  }
  return plan;
}

std::string MemoryPlan::ToTable() const {
  const auto line = [](absl::string_view name, int64_t bytes, const std::string& note) {
    return absl::StrFormat("  %-14s %9d MiB%s\n", name, ToMebibytes(bytes), note);
  };
  const int64_t pool = num_blocks * needs.block;
  const std::string host =
      needs.host_budget ? absl::StrCat("  of the host's ", ToMebibytes(*needs.host_budget), " MiB") : "";
  // Of the lines as they are rounded.
  const auto sum = [](std::initializer_list<int64_t> items) {
    int64_t mebibytes = 0;
    for (const int64_t bytes : items) mebibytes += ToMebibytes(bytes);
    return mebibytes << 20;
  };
  const int64_t requests = sum({needs.images, needs.requests, needs.replies, evidence()});
  const int64_t model = sum({needs.weights, needs.vision_tower, needs.step, pool});
  return absl::StrCat(
      line("weights", needs.weights, ""), line("vision tower", needs.vision_tower, "  peak of one image"),
      line("step", needs.step, "  activations, logits, explicit rows"),
      line("KV cache", pool,
           absl::StrCat("  ", num_blocks, " blocks of ", KvCache::kBlockSize,
                        " tokens: ", num_blocks * KvCache::kBlockSize, " tokens")),
      line("images", needs.images, host), line("requests", needs.requests, host),
      line("replies", needs.replies, host), line("evidence", evidence(), host),
      line("total", model + (needs.host_budget ? 0 : requests),
           needs.host_budget ? absl::StrCat("  of the device, ", ToMebibytes(requests), " MiB of the host")
                             : ""),
      line("budget", needs.budget, needs.host_budget ? "  of the device" : ""));
}

MemoryNeeds MeasureNeeds(const VisionLanguageModel& model, const RequestLimits& limits, int64_t budget) {
  const ModelConfig& c = model.config();
  const DecoderConfig& d = c.decoder;
  const auto float_bytes = static_cast<int64_t>(sizeof(float));
  const int64_t most_running = limits.max_running + limits.reserved_running;
  const int64_t step_tokens = most_running + limits.prefill_budget;
  const int64_t qkv = static_cast<int64_t>(d.num_attention_heads + 2 * d.num_key_value_heads) * d.head_dim;

  MemoryNeeds needs;
  needs.weights = model.weight_bytes();
  needs.vision_tower = model.image_workspace_bytes();
  // One layer's activations, twice where an operator's input and output live together, with reordered copies
  // of inputs.
  const int64_t activations =
      float_bytes * step_tokens * 2 *
      (4 * static_cast<int64_t>(d.hidden_size) + 2 * qkv + 4 * static_cast<int64_t>(d.intermediate_size));
  const int64_t logits = float_bytes * 3 * most_running * static_cast<int64_t>(d.vocab_size);
  const int64_t evidence = float_bytes * 8 * step_tokens * d.num_hidden_layers * d.num_key_value_heads;
  // Steps that are recorded are as long as the next power of two.
  const auto most_slots =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(d.max_position_embeddings)));
  const int64_t rows = model.backend().attention().workspace_bytes({.single_rows = most_running,
                                                                    .other_rows = limits.prefill_budget,
                                                                    .slots = most_slots,
                                                                    .heads = d.num_attention_heads,
                                                                    .kv_heads = d.num_key_value_heads,
                                                                    .head_dim = d.head_dim});
  needs.block = KvCache::BlockBytes(d, model.dtype());
  needs.step = activations + logits + evidence + rows + needs.block;  // one is KvCache::padding_block
  if (!model.device().is_cpu()) needs.step += kGpuLibraries;
  // Where nothing else is said, sequences of ordinary length for all of the batch; a machine may have other
  // uses for the rest.
  const int64_t longest =
      budget > 0 ? d.max_position_embeddings : std::min(d.max_position_embeddings, kOrdinaryTokens);
  const int64_t batch_blocks = limits.max_running * (longest / KvCache::kBlockSize + 2);
  needs.most_blocks = std::max(batch_blocks * kReservedShare / (kReservedShare - 1) + 1,
                               static_cast<int64_t>(d.max_position_embeddings) / KvCache::kBlockSize + 2);
  needs.budget = budget > 0 ? budget : needs.weights + FreeBytes(model.device()) / 10 * 9;

  needs.images = limits.image_memory + limits.image_cache;
  // A worker has a request twice while it parses it, and then its text many times over while it becomes
  // tokens.
  needs.requests =
      limits.receive_memory +
      limits.worker_threads *
          (limits.max_message_bytes + kBytesPerTextByte * kTextBytesPerToken * d.max_position_embeddings);
  needs.block_evidence = engine::Evidence::BlockBytes({.num_layers = d.num_hidden_layers,
                                                       .block_size = KvCache::kBlockSize,
                                                       .token_measures = interventions::kNumPhiPlanes});
  if (!model.device().is_cpu()) needs.host_budget = FreeHostBytes() / 10 * 9;
  needs.replies = kMapCopies * most_running * limits.max_map_bytes;
  return needs;
}

}  // namespace varserve::model
