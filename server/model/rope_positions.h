// Positions of a sequence's tokens for rotary embedding. With M-RoPE (transformers: get_rope_index of
// Qwen2_5_VLModel and Qwen3VLModel) a token has three, in time, height and width: text counts on in all
// three, the tokens of an image share the time and have their row and column, and text after an image
// continues after its longer side. Pure, thread-safe. The prompt must outlive the object.
#pragma once

#include <array>
#include <cstdint>

#include "server/base/prompt.h"

namespace varserve::model {

class RopePositions {
 public:
  RopePositions(const Prompt& prompt, bool mrope) : prompt_(prompt), mrope_(mrope) {}

  // Of the token at index `token` of the sequence, prompt or generated: time, height, width. Without M-RoPE
  // all are `token`.
  std::array<int64_t, 3> At(int token) const;

 private:
  const Prompt& prompt_;
  const bool mrope_;
};

}  // namespace varserve::model
