#include "server/engine/evidence.h"

#include <algorithm>
#include <optional>

#include "server/engine/visual_tokens.h"

namespace varserve::engine {
namespace {

// Sums in double, so that a mean over many rows does not depend on rounding.
class SharesMean {
 public:
  void Add(const AttentionShares& shares) {
    image_centric_heads_ += shares.image_centric_heads;
    redistributed_ += shares.redistributed;
    visual_before_ += shares.visual_before;
    visual_after_ += shares.visual_after;
    ++count_;
  }
  AttentionShares Get() const {
    const double n = count_ == 0 ? 1.0 : static_cast<double>(count_);
    return {.image_centric_heads = static_cast<float>(image_centric_heads_ / n),
            .redistributed = static_cast<float>(redistributed_ / n),
            .visual_before = static_cast<float>(visual_before_ / n),
            .visual_after = static_cast<float>(visual_after_ / n)};
  }

 private:
  double image_centric_heads_ = 0.0;
  double redistributed_ = 0.0;
  double visual_before_ = 0.0;
  double visual_after_ = 0.0;
  int64_t count_ = 0;
};

// The authors' code finds sinks once, in the prompt, and with a strict comparison.
bool IsSink(const VarSettings& var, float phi) {
  return var.variant == VarVariant::kPaper ? phi >= var.tau : phi > var.tau;
}

bool MayBeSink(const GenerationRequest& request, int position) {
  return request.var.variant == VarVariant::kPaper || position < request.prompt->size();
}

}  // namespace

Evidence::Evidence(const ModelFacts& facts)
    : num_layers_(facts.num_layers), phi_size_(kNumPhiPlanes * num_layers_), blocks_(facts.num_kv_blocks) {}

int64_t Evidence::BlockBytes(const ModelFacts& facts) {
  if (!facts.has_var_profile) return 0;
  return int64_t{facts.block_size} * facts.num_layers *
         static_cast<int64_t>(kNumPhiPlanes * sizeof(float) + sizeof(AttentionShares));
}

int64_t Evidence::bytes() const {
  size_t bytes = 0;
  for (const Block& block : blocks_) {
    bytes += block.phi.capacity() * sizeof(float) + block.rows.capacity() * sizeof(AttentionShares);
  }
  return static_cast<int64_t>(bytes);
}

void Evidence::Record(const SequenceStep& step, const SlotLayout& layout, const SequenceResult& result) {
  const GenerationRequest& request = *step.request;
  // Nobody can ask for it: blocks after the prefix are shared only among requests of one VAR setting.
  if (step.begin >= layout.prefix_size() && !request.var.measured()) return;
  if (result.phi.empty()) return;

  const size_t block_size = layout.block_size();
  const size_t num_tokens = step.end - step.begin;
  auto row = result.rows.begin();
  for (size_t t = 0; t < num_tokens; ++t) {
    const int position = step.begin + static_cast<int>(t);
    const size_t slot = layout.SlotOf(position) % block_size;
    Block& block = blocks_[step.blocks[layout.SlotOf(position) / block_size]];
    block.phi.resize(block_size * phi_size_);
    for (size_t i = 0; i < phi_size_; ++i) {
      block.phi[slot * phi_size_ + i] = result.phi[i * num_tokens + t];
    }
    if (!result.rows.empty() && IsEligible(*request.prompt, position)) {
      block.rows.resize(block_size * num_layers_);
      std::copy_n(row, num_layers_, &block.rows[slot * num_layers_]);
      row += static_cast<ptrdiff_t>(num_layers_);
    }
  }
}

VarReport Evidence::Report(const GenerationRequest& request, const SlotLayout& layout,
                           absl::Span<const BlockId> blocks, int num_tokens) const {
  const Prompt& prompt = *request.prompt;
  const VarSettings& var = request.var;
  const size_t block_size = layout.block_size();
  const auto plane = static_cast<size_t>(var.variant);

  VarReport report;
  report.settings = var;
  SharesMean total_mean;
  std::vector<SharesMean> layer_means(var.last_layer - var.first_layer + 1);
  for (int layer = var.first_layer; layer <= var.last_layer; ++layer)
    report.layers.emplace_back().layer = layer;

  for (int position = 0; position < num_tokens; ++position) {
    const size_t slot = layout.SlotOf(position) % block_size;
    const Block& block = blocks_[blocks[layout.SlotOf(position) / block_size]];
    const std::optional<VisualToken> visual = FindVisualToken(prompt, position);

    VarReport::VisualSink sink;
    const float* phi = &block.phi[slot * phi_size_ + plane * num_layers_];  // [num_layers]
    for (VarReport::Layer& layer : report.layers) {
      if (!MayBeSink(request, position) || !IsSink(var, phi[layer.layer])) continue;
      ++(visual ? layer.visual_sinks : layer.text_sinks);
      ++sink.layers;
      sink.max_phi = std::max(sink.max_phi, phi[layer.layer]);
    }
    if (visual && sink.layers > 0) {
      const ImageSpan& span = prompt.spans[visual->image];
      const int place = position - span.grid_begin();
      sink.image = visual->image;
      sink.row = place / span.cols;
      sink.col = place % span.cols;
      if (place >= 0) report.visual_sinks.push_back(sink);  // a class token has no place in the grid
    }
    if (!IsEligible(prompt, position)) continue;
    SharesMean row_mean;
    const AttentionShares* row = &block.rows[slot * num_layers_];  // [num_layers]
    for (size_t i = 0; i < layer_means.size(); ++i) {
      const AttentionShares& shares = row[report.layers[i].layer];
      row_mean.Add(shares);
      layer_means[i].Add(shares);
      total_mean.Add(shares);
    }
    report.rows.push_back({.position = position, .shares = row_mean.Get()});
  }

  report.eligible_rows = static_cast<int64_t>(report.rows.size());
  report.totals = total_mean.Get();
  for (size_t i = 0; i < layer_means.size(); ++i) {
    VarReport::Layer& layer = report.layers[i];
    layer.shares = layer_means[i].Get();
    report.visual_sink_tokens += layer.visual_sinks;
    report.text_sink_tokens += layer.text_sinks;
  }
  report.visual_sink_tokens /= static_cast<double>(layer_means.size());
  report.text_sink_tokens /= static_cast<double>(layer_means.size());
  return report;
}

}  // namespace varserve::engine
