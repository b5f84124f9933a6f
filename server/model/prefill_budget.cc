#include "server/model/prefill_budget.h"

#include <algorithm>

#include "server/model/step_runner.h"

namespace varserve::model {
namespace {

constexpr int kGpuLeast = 512;
constexpr int64_t kGpuTokenBytes = 200'000'000'000;  // tokens times the weights' bytes
// Fewer tokens read the weights too often, more need too much memory. With decoding sequences, which read
// them anyway, the least is a chunk.
constexpr int kLeast = 128;
constexpr int kMost = 640;
// Of linear layers; everything else adds a third.
constexpr double kBusySeconds = 0.07;
constexpr double kIdleSeconds = 0.5;

}  // namespace

PrefillBudget BudgetFor(double speed, int64_t weight_bytes) {
  const int chunk = StepRunner::PrefillChunk(at::kCPU);
  const auto within = [&](double seconds, int least) {
    const double tokens = std::min<double>(kMost, speed * seconds / static_cast<double>(weight_bytes));
    return std::max(least, static_cast<int>(tokens) / chunk * chunk);
  };
  return {.busy = within(kBusySeconds, chunk), .idle = within(kIdleSeconds, kLeast)};
}

PrefillBudget MeasurePrefillBudget(const VisionLanguageModel& model) {
  if (!model.device().is_cpu()) {
    const int64_t tokens = kGpuTokenBytes / model.weight_bytes();
    return {.busy = kGpuLeast,
            .idle = static_cast<int>(std::clamp<int64_t>(tokens, kGpuLeast, 5 * kGpuLeast))};
  }
  return BudgetFor(model.decoder().MeasureSpeed(kLeast), model.weight_bytes());
}

}  // namespace varserve::model
