// Content keys of KV blocks: blocks with equal keys hold equal K and V, and equal evidence.
//
// A key is the SHA-256 of the previous block's key (the root before the first block: the model's fingerprint,
// or that and the caller's name where callers share nothing) and of the block's own tokens: ids of text,
// digest and place of visual tokens, since all images share one placeholder id. So a key stands for
// everything from the sequence's first token on. Blocks of the prefix are the same under every intervention;
// a block after it also hashes that of the request, if it has one. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/engine/request.h"
#include "server/engine/slot_layout.h"

namespace varserve::engine {

// The root of keys that no other caller's blocks have.
Digest CallerRoot(const Digest& model_fingerprint, absl::string_view caller);

// Key of the block that holds tokens [begin, end) of the prompt and the `generated` tokens after it.
Digest BlockKey(const Digest& previous, const GenerationRequest& request, absl::Span<const int32_t> generated,
                int begin, int end);

// Keys of the leading blocks that the prompt fills: those of the prefix, its partly filled last one included,
// and the full ones after it.
std::vector<Digest> PromptBlockKeys(const Digest& root, const GenerationRequest& request,
                                    const SlotLayout& layout);

}  // namespace varserve::engine
