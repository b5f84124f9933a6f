#include "server/engine/block_key.h"

#include <algorithm>
#include <string>
#include <type_traits>

#include "server/base/visual_tokens.h"

namespace varserve::engine {
namespace {

enum class Region : uint8_t { kPrefix, kSuffix, kChangedSuffix };
enum class Run : uint8_t { kText, kVisual };

template <typename T>
void Append(std::string& bytes, const T& value) {
  static_assert(std::has_unique_object_representations_v<T>, "padding is not content");
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

Digest CallerRoot(const Digest& model_fingerprint, absl::string_view caller) {
  return Sha256({BytesOf(model_fingerprint), caller});
}

Digest BlockKey(const Digest& previous, const GenerationRequest& request, absl::Span<const int32_t> generated,
                int begin, int end) {
  const Prompt& prompt = *request.prompt;
  std::string bytes(BytesOf(previous));
  // Different kernels compute prefix and suffix, so equal tokens do not always give equal bits.
  if (begin < prompt.prefix_size()) {
    Append(bytes, Region::kPrefix);
  } else if (request.intervention == nullptr) {
    Append(bytes, Region::kSuffix);
  } else {
    Append(bytes, Region::kChangedSuffix);
    bytes += request.intervention->key();
  }
  Append(bytes, end - begin);
  for (int position = begin; position < end;) {
    if (const auto visual = FindVisualToken(prompt, position)) {
      const int run_end = std::min(end, visual->run_end);
      Append(bytes, Run::kVisual);
      Append(bytes, prompt.images[visual->image]->digest);
      Append(bytes, visual->index);
      Append(bytes, run_end - position);
      position = run_end;
    } else {
      Append(bytes, Run::kText);
      Append(bytes, prompt.TokenAt(position, generated));
      ++position;
    }
  }
  return Sha256({bytes});
}

std::vector<Digest> PromptBlockKeys(const Digest& root, const GenerationRequest& request,
                                    const SlotLayout& layout) {
  std::vector<Digest> keys;
  for (int block = 0;; ++block) {
    const int begin = layout.FirstToken(block);
    const int end = layout.FirstToken(block + 1);
    if (end > request.prompt->size()) return keys;
    keys.push_back(BlockKey(keys.empty() ? root : keys.back(), request, {}, begin, end));
  }
}

}  // namespace varserve::engine
