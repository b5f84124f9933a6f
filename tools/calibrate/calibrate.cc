#include "tools/calibrate/calibrate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/backend/torch/sink_measure.h"
#include "server/base/status_macros.h"
#include "server/base/visual_tokens.h"
#include "tools/calibrate/layer_probe.h"

namespace varserve::calibrate {
namespace {

// A token whose hidden state is concentrated in some dimensions.
struct Voter {
  int token = 0;
  std::vector<int32_t> dimensions;
};

// The first text token (usually BOS), and the tokens with high attention.
std::vector<int64_t> Candidates(const ProbedLayer& layer, const Prompt& prompt) {
  std::vector<int64_t> candidates;
  bool text_seen = false;
  for (int t = 0; t < prompt.size(); ++t) {
    const bool first_text = !text_seen && !FindVisualToken(prompt, t).has_value();
    text_seen = text_seen || first_text;
    if (first_text || layer.attention[t].high()) candidates.push_back(t);
  }
  return candidates;
}

std::vector<Voter> FindVoters(const ProbedLayer& layer, const Prompt& prompt, double eps) {
  const std::vector<int64_t> candidates = Candidates(layer, prompt);
  const at::Tensor rms = layer.hidden.square().mean(1, /*keepdim=*/true).add_(eps).sqrt_();
  const at::Tensor values = layer.hidden.abs().div_(rms);     // [N, C]
  const at::Tensor ordinary = std::get<0>(values.median(0));  // [C]
  const auto [largest, dimensions] =
      values.index_select(0, at::tensor(candidates, at::kLong).to(values.device()))
          .topk(std::min<int64_t>(kLargest, values.size(1)), 1);  // [n, k]
  const at::Tensor all = at::stack({largest, ordinary.index_select(0, dimensions.flatten()).view_as(largest),
                                    dimensions.to(at::kFloat)},
                                   2)
                             .cpu();  // [n, k, 3]
  std::vector<Voter> voters;
  for (int64_t i = 0; i < all.size(0); ++i) {
    std::vector<Magnitude> magnitudes;
    const float* entry = all[i].const_data_ptr<float>();
    for (int64_t k = 0; k < all.size(1); ++k, entry += 3) {
      magnitudes.push_back(
          {.dimension = static_cast<int32_t>(entry[2]), .value = entry[0], .ordinary = entry[1]});
    }
    std::vector<int32_t> dominant = DominantDimensions(magnitudes, static_cast<int>(values.size(1)));
    if (!dominant.empty()) voters.push_back({static_cast<int>(candidates[i]), std::move(dominant)});
  }
  return voters;
}

LayerObservation Observe(const ProbedLayer& layer, const Prompt& prompt,
                         const std::vector<int32_t>& sink_dimensions, const std::vector<Voter>& voters,
                         double eps) {
  const at::Tensor dimensions = at::tensor(sink_dimensions, at::kInt).to(layer.hidden.device(), at::kLong);
  const at::Tensor phi = backend::SinkMeasure(layer.hidden, dimensions, eps, eps)[0].cpu();  // [N]
  const float* values = phi.const_data_ptr<float>();
  LayerObservation observation{.layer = layer.layer};
  for (int t = 0; t < prompt.size(); ++t) {
    observation.tokens.push_back({.phi = values[t],
                                  .attention = layer.attention[t],
                                  .visual = FindVisualToken(prompt, t).has_value()});
  }
  for (const Voter& voter : voters)
    observation.sink = std::max(observation.sink.value_or(0.0F), values[voter.token]);
  return observation;
}

}  // namespace

absl::StatusOr<Findings> Calibrate(const model::VisionLanguageModel& model,
                                   absl::Span<const std::shared_ptr<const Prompt>> prompts,
                                   const std::function<void(int done, int of)>& progress) {
  const int num_prompts = static_cast<int>(prompts.size());
  const double eps = model.config().decoder.rms_norm_eps;

  // Pass 1: which dimensions.
  DimensionVote vote;
  std::vector<std::vector<std::vector<Voter>>> voters(prompts.size());  // [prompts, L]
  for (int i = 0; i < num_prompts; ++i) {
    RETURN_IF_ERROR(ProbeLayers(model, prompts[i], [&](const ProbedLayer& layer) {
      voters[i].push_back(FindVoters(layer, *prompts[i], eps));
      std::vector<std::vector<int32_t>> dimensions;
      for (const Voter& voter : voters[i].back()) dimensions.push_back(voter.dimensions);
      vote.Add(dimensions);
    }));
    progress(i + 1, 2 * num_prompts);
  }
  Findings findings{.votes = vote.Shares()};
  const std::vector<int32_t> elected = vote.Elected();
  if (elected.empty()) return findings;

  // Pass 2: which tokens.
  for (int i = 0; i < num_prompts; ++i) {
    for (std::vector<Voter>& layer : voters[i]) {
      std::erase_if(layer, [&](const Voter& voter) {
        return std::none_of(elected.begin(), elected.end(), [&](int32_t d) {
          return std::find(voter.dimensions.begin(), voter.dimensions.end(), d) != voter.dimensions.end();
        });
      });
    }
    RETURN_IF_ERROR(ProbeLayers(model, prompts[i], [&](const ProbedLayer& layer) {
      findings.observations.push_back(Observe(layer, *prompts[i], elected, voters[i][layer.layer], eps));
    }));
    progress(num_prompts + i + 1, 2 * num_prompts);
  }
  findings.calibration =
      Summarize(elected, model.config().decoder.num_hidden_layers, num_prompts, findings.observations);
  return findings;
}

}  // namespace varserve::calibrate
