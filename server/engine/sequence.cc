#include "server/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "server/engine/block_key.h"

namespace varserve::engine {

namespace {

int MostTokens(const GenerationRequest& request, int context) {
  const int longest =
      std::max(request.prompt->size(), request.contrast == nullptr ? 0 : request.contrast->prompt->size());
  return std::min(request.sampling.max_tokens, context - longest);
}

}  // namespace

Sequence::Sequence(GenerationRequest r, const ModelFacts& facts, const Digest& root)
    : request(std::move(r)),
      layout(request.prompt->prefix_size(), facts.block_size),
      max_size(prompt_size() + MostTokens(request, facts.context)),
      block_keys(PromptBlockKeys(root, request, layout)) {
  if (request.contrast == nullptr) return;
  GenerationRequest siblings{.id = request.id, .caller = request.caller, .prompt = request.contrast->prompt};
  siblings.sampling.max_tokens = max_size - prompt_size();
  sibling = std::make_unique<Sequence>(std::move(siblings), facts, root);
}

void Sequence::SetIds(SequenceId own, SequenceId of_sibling) {
  id = own;
  if (sibling == nullptr) return;
  sibling->id = of_sibling;
  sibling->sibling_of = own;
}

QueuedRequest Sequence::queued() const {
  return {.caller = request.caller,
          .arrival = arrival,
          .prefix_key = block_keys[num_prefix_blocks() - 1],
          .prefix_tokens = layout.prefix_size(),
          .suffix_tokens = num_request_tokens() - layout.prefix_size()};
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

int Sequence::NumBlocksSharedWithSibling(int cached, int chunk) const {
  const int origin = layout.prefix_size() < prompt_size() ? layout.prefix_size() : 0;  // of the last chunks
  const int last_chunk = std::max(cached, origin + (prompt_size() - 1 - origin) / chunk * chunk);
  const int most = std::min(static_cast<int>(block_keys.size()), sibling->num_shareable_blocks());
  int blocks = 0;
  while (blocks < most && block_keys[blocks] == sibling->block_keys[blocks] &&
         layout.FirstToken(blocks + 1) <= last_chunk)
    ++blocks;
  return blocks;
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
  const bool is_last = end == num_tokens();
  const bool sample = is_last && !sibling_of;
  return {.sequence = id,
          .request = &request,
          .generated = generated,
          .begin = begin,
          .end = end,
          .blocks = blocks,
          .encode_images = ImagesToEncode(begin, end),
          .sample = sample,
          .sibling_of = sibling_of,
          .contrasts = is_last && sibling_of,
          // Prefix tokens have no map: an intervention cannot change them. A prompt may end with an image.
          .map = sample && begin >= layout.prefix_size() && wants_map()};
}

}  // namespace varserve::engine
