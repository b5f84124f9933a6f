#include "server/engine/evidence.h"

#include <algorithm>

namespace varserve::engine {

using interventions::AttentionShares;
using interventions::TokenEvidence;

Evidence::Evidence(const ModelFacts& facts)
    : num_layers_(facts.num_layers),
      token_size_(facts.token_measures * num_layers_),
      blocks_(facts.num_kv_blocks) {}

int64_t Evidence::BlockBytes(const ModelFacts& facts) {
  return int64_t{facts.block_size} * facts.num_layers *
         static_cast<int64_t>(facts.token_measures * sizeof(float) + sizeof(AttentionShares));
}

int64_t Evidence::bytes() const {
  size_t bytes = 0;
  for (const Block& block : blocks_) {
    bytes += block.measures.capacity() * sizeof(float) + block.rows.capacity() * sizeof(AttentionShares);
  }
  return static_cast<int64_t>(bytes);
}

void Evidence::Record(const SequenceStep& step, const SlotLayout& layout, const SequenceResult& result) {
  const GenerationRequest& request = *step.request;
  // This evidence is never read: only requests with the same intervention share blocks after the prefix.
  if (step.begin >= layout.prefix_size() && request.intervention == nullptr) return;
  if (result.measures.empty() && result.rows.empty()) return;

  const size_t block_size = layout.block_size();
  const size_t num_tokens = step.end - step.begin;
  auto row = result.rows.begin();
  for (size_t t = 0; t < num_tokens; ++t) {
    const int position = step.begin + static_cast<int>(t);
    const size_t slot = layout.SlotOf(position) % block_size;
    Block& block = blocks_[step.blocks[layout.SlotOf(position) / block_size]];
    block.measures.resize(block_size * token_size_);
    for (size_t i = 0; i < token_size_; ++i) {
      block.measures[slot * token_size_ + i] = result.measures[i * num_tokens + t];
    }
    if (!result.rows.empty() && request.intervention->ActsOn(*request.prompt, position)) {
      block.rows.resize(block_size * num_layers_);
      std::copy_n(row, num_layers_, &block.rows[slot * num_layers_]);
      row += static_cast<ptrdiff_t>(num_layers_);
    }
  }
}

std::vector<TokenEvidence> Evidence::Of(const SlotLayout& layout, absl::Span<const BlockId> blocks,
                                        int num_tokens) const {
  const size_t block_size = layout.block_size();
  std::vector<TokenEvidence> tokens(num_tokens);
  for (int position = 0; position < num_tokens; ++position) {
    const size_t slot = layout.SlotOf(position) % block_size;
    const Block& block = blocks_[blocks[layout.SlotOf(position) / block_size]];
    tokens[position].measures = block.measures.data() + slot * token_size_;
    if (!block.rows.empty()) tokens[position].shares = block.rows.data() + slot * num_layers_;
  }
  return tokens;
}

}  // namespace varserve::engine
