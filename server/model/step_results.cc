#include "server/model/step_results.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>

#include "server/interventions/var/tokens.h"
#include "server/model/kv_cache.h"

namespace varserve::model {

using engine::SequenceResult;
using engine::SequenceStep;

namespace {

// -1 if it is not there.
int64_t IndexOf(int64_t row, const std::vector<int64_t>& rows) {
  const auto found = std::find(rows.begin(), rows.end(), row);
  return found == rows.end() ? -1 : found - rows.begin();
}

// Waits for the device. Through pinned memory, which a GPU copies to at full speed.
at::Tensor ToHost(const at::Tensor& values) {
  const at::Device device = values.device();
  if (device.is_cpu()) return values;
  at::Tensor host = at::empty(values.sizes(), values.options().device(at::kCPU).pinned_memory(true));
  host.copy_(values, /*non_blocking=*/true);
  c10::impl::VirtualGuardImpl(device.type()).getStream(device).synchronize();
  return host;
}

}  // namespace

StepResults::StepResults(const engine::StepPlan& plan, const StepInput& input, const DeviceStep& step,
                         const engine::ModelFacts& facts)
    : plan_(plan), input_(input), step_(step), facts_(facts) {
  const StepOutputs& outputs = step.outputs();
  host_ = ToHost(outputs.all);
  const auto at = [&](const at::Tensor& part) {
    return host_.const_data_ptr<float>() + (part.storage_offset() - outputs.all.storage_offset());
  };
  largest_ = at(outputs.largest);
  phi_ = at(outputs.phi);
  sums_ = reinterpret_cast<const interventions::RowSums*>(at(outputs.sums));
  maps_ = at(outputs.maps);
  leading_ = reinterpret_cast<const backend::LeadingTokens*>(at(outputs.leading));
  whole_logits_ = at(outputs.whole_logits);
}

engine::StepOutput StepResults::Take(SamplerPool& samplers) const {
  engine::StepOutput output;
  output.results.resize(plan_.steps.size());
  ChooseTokens(samplers, output);
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const SequenceStep& step = plan_.steps[i];
    const StepInput::Place& place = input_.places[i];
    SequenceResult& result = output.results[i];
    if (facts_.token_measures > 0) result.measures = PhiOf(step, place);
    if (place.rows && step.request->intervention != nullptr) result.rows = RowsOf(step, place);
    if (place.map >= 0) result.map = MapOf(step, place.map);
  }
  return output;
}

absl::Span<const float> StepResults::LogitsOf(int64_t sampled) const {
  const at::Tensor& logits = step_.logits();
  const auto vocabulary = static_cast<size_t>(logits.size(1));
  const int64_t row = IndexOf(sampled, step_.whole_rows());
  if (row >= 0) return {whole_logits_ + row * logits.size(1), vocabulary};
  TORCH_CHECK(step_.host_reads_logits(), "row ", sampled, " of the logits was not copied to the host");
  return {logits.const_data_ptr<float>() + sampled * logits.stride(0), vocabulary};
}

int StepResults::SiblingOf(const SequenceStep& step) const {
  if (step.request->contrast == nullptr) return -1;
  const auto sibling = std::find_if(plan_.steps.begin(), plan_.steps.end(), [&](const SequenceStep& other) {
    return other.contrasts && other.sibling_of == step.sequence;
  });
  return static_cast<int>(sibling - plan_.steps.begin());
}

void StepResults::ChooseTokens(SamplerPool& samplers, engine::StepOutput& output) const {
  std::vector<SamplerPool::Job> jobs;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const SequenceStep& step = plan_.steps[i];
    if (!step.sample) continue;
    const int64_t sampled = input_.places[i].sampled;
    const int sibling = SiblingOf(step);
    const int64_t siblings = sibling < 0 ? sampled : input_.places[sibling].sampled;
    SequenceResult& result = output.results[i];
    if (!std::isfinite(largest_[2 * sampled]) || !std::isfinite(largest_[2 * siblings])) {
      result.status = absl::InternalError("model: the logits are not finite");
    } else if (LogitsNeededBy(step) == LogitsNeeded::kLargest) {
      result.token = engine::Token{.id = static_cast<int32_t>(largest_[2 * sampled + 1]), .top = {}};
    } else if (const int64_t row = IndexOf(sampled, step_.leading_rows()); row >= 0) {
      jobs.push_back({.step = &step,
                      .leading = leading_ + row,
                      .vocabulary = step_.logits().size(1),
                      .result = &result});
    } else {
      jobs.push_back(
          {.step = &step, .logits = LogitsOf(sampled), .sibling = LogitsOf(siblings), .result = &result});
    }
  }
  samplers.Run(jobs);
  std::erase_if(jobs, [](const SamplerPool::Job& job) { return job.result->token.has_value(); });
  ChooseFromAll(samplers, jobs);
}

void StepResults::ChooseFromAll(SamplerPool& samplers, std::vector<SamplerPool::Job>& jobs) const {
  if (jobs.empty()) return;
  std::vector<int64_t> rows;
  for (const SamplerPool::Job& job : jobs)
    rows.push_back(input_.places[job.step - plan_.steps.data()].sampled);
  const at::Tensor& logits = step_.logits();
  const at::Tensor whole = ToHost(logits.index_select(0, at::tensor(rows, at::kLong).to(logits.device())));
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].leading = nullptr;
    jobs[i].logits = {whole.const_data_ptr<float>() + static_cast<int64_t>(i) * whole.stride(0),
                      static_cast<size_t>(whole.size(1))};
  }
  samplers.Run(jobs);
}

std::vector<float> StepResults::PhiOf(const SequenceStep& step, const StepInput::Place& place) const {
  const int64_t num_tokens = step_.outputs().phi.size(2);
  std::vector<float> phi;
  for (int plane = 0; plane < interventions::kNumPhiPlanes; ++plane) {
    for (int64_t l = 0; l < facts_.num_layers; ++l) {
      const float* from = phi_ + (l * interventions::kNumPhiPlanes + plane) * num_tokens + place.first;
      phi.insert(phi.end(), from, from + (step.end - step.begin));
    }
  }
  return phi;
}

std::vector<interventions::AttentionShares> StepResults::RowsOf(const SequenceStep& step,
                                                                const StepInput::Place& place) const {
  const int64_t num_rows = input_.batch.num_rows();
  const auto heads = static_cast<float>(facts_.num_heads);
  std::vector<interventions::AttentionShares> rows;
  for (int t = step.begin; t < step.end; ++t) {
    if (!step.request->intervention->ActsOn(*step.request->prompt, t)) continue;
    for (int64_t l = 0; l < facts_.num_layers; ++l) {
      const interventions::RowSums& sums = sums_[l * num_rows + place.first + t - step.begin];
      rows.push_back({.changed_heads = sums.changed_heads / heads,
                      .redistributed = sums.redistributed / heads,
                      .visual_before = sums.visual_before / heads,
                      .visual_after = sums.visual_after / heads});
    }
  }
  return rows;
}

interventions::AttentionMap StepResults::MapOf(const SequenceStep& step, int64_t map) const {
  const Prompt& prompt = *step.request->prompt;
  const engine::SlotLayout layout(prompt.prefix_size(), KvCache::kBlockSize);
  const int64_t slots = step_.outputs().maps.size(2);
  const float* before = maps_ + map * 2 * slots;
  const float* after = before + slots;
  const auto averaged =
      static_cast<float>(facts_.num_heads * static_cast<int64_t>(step.request->map_layers.size()));
  const float scale = 1.0F / averaged;
  interventions::AttentionMap result{.position = step.end - 1, .before = {}, .after = {}};
  for (const ImageSpan& span : prompt.spans) {
    ForVisualRuns(span, span.begin, span.end, [&](int position, int count, int /*index*/) {
      for (int t = position; t < position + count; ++t) {
        result.before.push_back(before[layout.SlotOf(t)] * scale);
        result.after.push_back(after[layout.SlotOf(t)] * scale);
      }
    });
  }
  return result;
}

}  // namespace varserve::model
