#include "server/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "server/engine/block_key.h"

namespace varserve::engine {

Sequence::Sequence(GenerationRequest r, const ModelFacts& facts, const Digest& root)
    : request(std::move(r)),
      layout(request.prompt->prefix_size(), facts.block_size),
      max_size(prompt_size() + std::min(request.sampling.max_tokens, facts.context - prompt_size())),
      block_keys(PromptBlockKeys(root, request, layout)) {}

QueuedRequest Sequence::queued() const {
  return {.caller = request.caller,
          .arrival = arrival,
          .prefix_key = block_keys[num_prefix_blocks() - 1],
          .prefix_tokens = layout.prefix_size(),
          .suffix_tokens = prompt_size() - layout.prefix_size()};
}

int Sequence::num_shareable_blocks() const {
  int blocks = static_cast<int>(block_keys.size());
  while (blocks > 0 && layout.FirstToken(blocks) > prompt_size() - 1) --blocks;
  return blocks;
}

int Sequence::ChunkEnd(int begin, int chunk) const {
  const int prefix_size = layout.prefix_size();
  const int origin = begin < prefix_size ? 0 : prefix_size;
  const int limit = begin < prefix_size ? prefix_size : prompt_size();
  return std::min(limit, origin + ((begin - origin) / chunk + 1) * chunk);
}

std::vector<int> Sequence::ImagesToEncode(int begin, int end) const {
  std::vector<int> images;
  const std::vector<ImageSpan>& spans = request.prompt->spans;
  for (size_t i = 0; i < spans.size() && spans[i].begin < end; ++i) {
    const int first = std::max(spans[i].begin, num_cached);
    if (first < spans[i].end && first >= begin) images.push_back(static_cast<int>(i));
  }
  return images;
}

bool Sequence::wants_map() const {
  if (request.map_layers.empty() || request.intervention == nullptr) return false;
  int64_t bytes = 0;  // of one map, before and after
  for (const ImageSpan& span : request.prompt->spans) {
    bytes += interventions::MapBytes(*span.layout);
  }
  return static_cast<int64_t>(maps.size()) * bytes <= request.max_map_bytes;
}

SequenceStep Sequence::StepOver(int begin, int end) const {
  const bool sample = end == num_tokens();
  return {.sequence = id,
          .request = &request,
          .generated = generated,
          .begin = begin,
          .end = end,
          .blocks = blocks,
          .encode_images = ImagesToEncode(begin, end),
          .sample = sample,
          // Prefix tokens have no map: an intervention cannot change them. A prompt may end with an image.
          .map = sample && begin >= layout.prefix_size() && wants_map()};
}

}  // namespace varserve::engine
