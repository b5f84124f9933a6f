// Content keys of KV blocks. Blocks with equal keys hold equal K and V, and equal evidence.
//
// A key is the SHA-256 of the previous block's key and of the block's own tokens: the ids of text tokens, and
// the image digest and index of visual tokens, since all images share one placeholder id. So a key identifies
// everything from the sequence's first token on. The first block follows a root: the model's fingerprint,
// plus the caller's name if callers do not share. Prefix blocks are the same under every intervention; later
// blocks also hash the request's intervention, if any. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/engine/request.h"
#include "server/engine/slot_layout.h"

namespace varserve::engine {

// Root of the keys of blocks that are used by one caller only.
Digest CallerRoot(const Digest& model_fingerprint, absl::string_view caller);

// Key of the block that holds tokens [begin, end) of the prompt and the `generated` tokens after it.
Digest BlockKey(const Digest& previous, const GenerationRequest& request, absl::Span<const int32_t> generated,
                int begin, int end);

// Keys of the leading blocks that the prompt fills: all prefix blocks, including a partly filled last one,
// and the full blocks after them.
std::vector<Digest> PromptBlockKeys(const Digest& root, const GenerationRequest& request,
                                    const SlotLayout& layout);

}  // namespace varserve::engine
