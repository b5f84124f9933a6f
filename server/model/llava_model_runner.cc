#include "server/model/llava_model_runner.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "server/base/status_macros.h"
#include "server/interventions/var/tokens.h"
#include "server/model/torch_errors.h"

namespace varserve::model {
namespace {

using engine::SequenceResult;
using engine::SequenceStep;
using engine::StepOutput;
using engine::StepPlan;

at::Tensor ToDevice(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device, /*non_blocking=*/true);
}

// Tensors brought to the host in one copy, read one after the other as float32.
class HostReader {
 public:
  explicit HostReader(const std::vector<at::Tensor>& tensors) {
    std::vector<at::Tensor> flat;
    for (const at::Tensor& t : tensors) {
      if (t.defined()) flat.push_back(t.to(at::kFloat).reshape({-1}));
    }
    values_ = flat.empty() ? at::empty({0}) : at::cat(flat).cpu();
  }
  const float* Take(int64_t count) {
    const float* values = values_.const_data_ptr<float>() + position_;
    position_ += count;
    return values;
  }

 private:
  at::Tensor values_;
  int64_t position_ = 0;
};

interventions::AttentionShares SharesOf(const kernels::RowSums& sums, int64_t heads) {
  const auto h = static_cast<float>(heads);
  return {.image_centric_heads = sums.image_centric_heads / h,
          .redistributed = sums.redistributed / h,
          .visual_before = sums.visual_before / h,
          .visual_after = sums.visual_after / h};
}

}  // namespace

absl::StatusOr<std::unique_ptr<LlavaModelRunner>> LlavaModelRunner::Create(
    std::unique_ptr<const LlavaModel> model, int num_kv_blocks) {
  std::unique_ptr<LlavaModelRunner> runner(new LlavaModelRunner(std::move(model)));
  const LlavaModel& m = *runner->model_;
  const DecoderConfig& c = m.config().decoder;
  runner->facts_ = {.num_layers = c.num_hidden_layers,
                    .num_heads = c.num_attention_heads,
                    .context = c.max_position_embeddings,
                    .eos_token_ids = m.config().eos_token_ids,
                    .num_kv_blocks = num_kv_blocks,
                    .block_size = static_cast<int>(KvCache::kBlockSize),
                    .block_bytes = KvCache::BlockBytes(c, m.dtype()),
                    .prefill_chunk = PrefillChunk(m.device()),
                    .token_measures = m.var_profile().has_value() ? interventions::kNumPhiPlanes : 0};
  RETURN_IF_ERROR(CatchTorchErrors([&] {
    runner->cache_ = std::make_unique<KvCache>(c, num_kv_blocks, m.dtype(), m.device());
    return absl::OkStatus();
  }));
  return runner;
}

int LlavaModelRunner::PrefillBudget(const LlavaModel& model) { return model.device().is_cpu() ? 128 : 512; }

int LlavaModelRunner::IdlePrefillBudget(const LlavaModel& model) {
  // Tokens times the weights' bytes: half a second of two cores.
  constexpr int64_t kTokenBytes = 200'000'000'000;
  const int least = PrefillBudget(model);
  return static_cast<int>(std::clamp<int64_t>(kTokenBytes / model.weight_bytes(), least, 5 * least));
}

absl::StatusOr<StepOutput> LlavaModelRunner::Execute(const StepPlan& plan) {
  StepOutput output;
  RETURN_IF_ERROR(CatchTorchErrors([&] {
    EncodeImages(plan);
    output = Run(plan);
    return absl::OkStatus();
  }));
  return output;
}

absl::Status LlavaModelRunner::ClearBlocks(absl::Span<const engine::BlockId> blocks) {
  return CatchTorchErrors([&] {
    cache_->Clear(blocks);
    // Reading one value waits for the device, which tells only then that it failed.
    cache_->PhiOf(at::zeros({1}, at::TensorOptions().dtype(at::kLong).device(model_->device()))).cpu();
    return absl::OkStatus();
  });
}

void LlavaModelRunner::EncodeImages(const StepPlan& plan) {
  for (const SequenceStep& step : plan.steps) {
    for (const int image : step.encode_images) {
      const ProcessedImage& source = *step.request->prompt->images[image];
      std::vector<float> pixels = source.Pixels();
      features_[step.sequence][image] =
          model_->EncodeImage(at::from_blob(pixels.data(), {3, source.height, source.width}));
    }
  }
}

void LlavaModelRunner::PlaceFeatures(const SequenceStep& step, int64_t first, at::Tensor& embeddings) {
  const std::vector<ImageSpan>& spans = step.request->prompt->spans;
  for (size_t i = 0; i < spans.size(); ++i) {
    const int begin = std::max(step.begin, spans[i].begin);
    const int end = std::min(step.end, spans[i].end);
    if (begin >= end) continue;
    const at::Tensor& features = features_.at(step.sequence).at(static_cast<int>(i));  // [P, C]
    embeddings.narrow(0, first + begin - step.begin, end - begin)
        .copy_(features.narrow(0, begin - spans[i].begin, end - begin));
  }
}

// By the threads that have just computed the step: for a flat distribution over a large vocabulary a token
// takes a millisecond.
void LlavaModelRunner::SampleAll(absl::Span<const SamplingJob> jobs) {
  if (jobs.empty()) return;
  samplers_.resize(std::max<size_t>(samplers_.size(), at::get_num_threads()));
  at::parallel_for(0, static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    Sampler& sampler = samplers_[at::get_thread_num()];
    for (int64_t i = begin; i < end; ++i) {
      const SequenceStep& step = *jobs[i].step;
      jobs[i].result->token = sampler.Sample(jobs[i].logits, step.request->sampling,
                                             step.request->prompt->token_ids, step.generated);
    }
  });
}

StepOutput LlavaModelRunner::Run(const StepPlan& plan) {
  const at::Device device = model_->device();
  const Decoder& decoder = model_->decoder();
  const int64_t layers = facts_.num_layers;
  const int64_t heads = facts_.num_heads;

  // 1. Tokens, their places and what they attend to.
  StepInput step_input(plan, facts_.num_layers, KvCache::kBlockSize);
  const at::Tensor slots = ToDevice(step_input.slots, device);
  at::Tensor embeddings = decoder.Embed(ToDevice(step_input.token_ids, device));  // [N, C]
  for (size_t i = 0; i < plan.steps.size(); ++i)
    PlaceFeatures(plan.steps[i], step_input.places[i].first, embeddings);
  for (size_t i = 0; i < step_input.prefix.size(); ++i) {
    const auto& blocks = step_input.prefix_blocks[i];
    attention::PrefixChunk& chunk = step_input.prefix[i];
    chunk.blocks = ToDevice({blocks.begin(), blocks.end()}, device);
    chunk.mask = attention::PrefixMask(chunk.count, chunk.start, embeddings.options());
  }

  // 2. The decoder.
  attention::RowEvidence evidence(
      step_input.batch, layers,
      model_->attention().evidence_groups(model_->config().decoder.num_key_value_heads), device);
  const auto rows = model_->attention().Prepare(step_input.batch, KvCache::kBlockSize);
  const at::Tensor logits = decoder.Forward({.hidden = embeddings,
                                             .positions = ToDevice(step_input.positions, device),
                                             .slots = slots,
                                             .sampled = ToDevice(step_input.sampled, device),
                                             .rows = rows.get(),
                                             .num_rows = step_input.batch.num_rows(),
                                             .prefix = step_input.prefix},
                                            *cache_, evidence);  // [S, V]
  evidence.Reduce();

  // 3. Everything the host needs, in one copy. Token ids below 2^24 are exact in float32.
  std::vector<int64_t> whole_rows;  // sampled tokens that need all logits
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].sample && NeedsLogits(plan.steps[i].request->sampling)) {
      whole_rows.push_back(step_input.places[i].sampled);
    }
  }
  const bool copies_rows = !whole_rows.empty() && !device.is_cpu();
  at::Tensor largest;
  at::Tensor largest_id;
  at::Tensor whole;
  if (logits.defined()) {
    std::tie(largest, largest_id) = logits.max(1);
    if (copies_rows) whole = logits.index_select(0, ToDevice(whole_rows, device));
  }
  const bool has_phi = facts_.token_measures > 0;
  const at::Tensor phi = has_phi ? cache_->PhiOf(slots) : at::Tensor();  // [L, 2, N]
  HostReader host({largest, largest_id, whole, phi, evidence.sums, evidence.maps});

  // 4. Per sequence results.
  const auto num_sampled = static_cast<int64_t>(step_input.sampled.size());
  const auto num_tokens = static_cast<int64_t>(step_input.token_ids.size());
  const int64_t num_rows = step_input.batch.num_rows();
  const int64_t vocabulary = logits.defined() ? logits.size(1) : 0;
  const float* host_largest = host.Take(num_sampled);
  const float* host_largest_id = host.Take(num_sampled);
  const float* host_whole = host.Take(copies_rows ? static_cast<int64_t>(whole_rows.size()) * vocabulary : 0);
  const float* host_phi = host.Take(has_phi ? layers * interventions::kNumPhiPlanes * num_tokens : 0);
  const auto* host_sums = reinterpret_cast<const kernels::RowSums*>(
      host.Take(layers * num_rows * static_cast<int64_t>(sizeof(kernels::RowSums) / sizeof(float))));
  const int64_t map_slots = step_input.batch.max_slots();
  const float* host_maps = host.Take(step_input.batch.num_maps() * 2 * map_slots);

  StepOutput output;
  output.results.resize(plan.steps.size());
  std::vector<SamplingJob> jobs;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const SequenceStep& step = plan.steps[i];
    if (!step.sample) continue;
    const int64_t sampled = step_input.places[i].sampled;
    const float* row = nullptr;  // all logits
    if (NeedsLogits(step.request->sampling)) {
      row = copies_rows ? host_whole : logits.const_data_ptr<float>() + sampled * logits.stride(0);
      if (copies_rows) host_whole += vocabulary;
    }
    if (!std::isfinite(host_largest[sampled])) {
      output.results[i].status = absl::InternalError("model: the logits are not finite");
    } else if (row == nullptr) {
      output.results[i].token =
          engine::Token{.id = static_cast<int32_t>(host_largest_id[sampled]), .top = {}};
    } else {
      jobs.push_back(
          {.step = &step, .logits = {row, static_cast<size_t>(vocabulary)}, .result = &output.results[i]});
    }
  }
  SampleAll(jobs);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const SequenceStep& step = plan.steps[i];
    const StepInput::Place& place = step_input.places[i];
    const Prompt& prompt = *step.request->prompt;
    const int64_t count = step.end - step.begin;
    SequenceResult& result = output.results[i];
    if (has_phi) {
      for (int plane = 0; plane < interventions::kNumPhiPlanes; ++plane) {
        for (int64_t l = 0; l < layers; ++l) {
          const float* from =
              host_phi + (l * interventions::kNumPhiPlanes + plane) * num_tokens + place.first;
          result.measures.insert(result.measures.end(), from, from + count);
        }
      }
    }
    if (place.rows && step.request->intervention != nullptr) {
      for (int64_t t = 0; t < count; ++t) {
        if (!step.request->intervention->ActsOn(prompt, step.begin + static_cast<int>(t))) continue;
        for (int64_t l = 0; l < layers; ++l) {
          result.rows.push_back(SharesOf(host_sums[l * num_rows + place.first + t], heads));
        }
      }
    }
    if (place.map >= 0) {
      const engine::SlotLayout layout(prompt.prefix_size(), KvCache::kBlockSize);
      const float scale =
          1.0F / static_cast<float>(heads * static_cast<int64_t>(step.request->map_layers.size()));
      const float* before = host_maps + place.map * 2 * map_slots;
      interventions::AttentionMap map{.position = step.end - 1, .before = {}, .after = {}};
      for (const ImageSpan& span : prompt.spans) {
        for (int t = span.begin; t < span.end; ++t) {
          map.before.push_back(before[layout.SlotOf(t)] * scale);
          map.after.push_back(before[map_slots + layout.SlotOf(t)] * scale);
        }
      }
      result.map = std::move(map);
    }
    // Visual tokens in the cache are not needed again.
    const auto features = features_.find(step.sequence);
    if (features != features_.end()) {
      for (size_t image = 0; image < prompt.spans.size(); ++image) {
        if (prompt.spans[image].end <= step.end) features->second.erase(static_cast<int>(image));
      }
    }
  }
  return output;
}

}  // namespace varserve::model
