// A first pass through the whole model before the server says that it is ready.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/prompt.h"
#include "server/chat/preprocessor.h"
#include "server/engine/model_runner.h"

namespace varserve {

// One question about a grey picture, as every model must be able to answer it. `context`: the model's,
// tokens.
absl::StatusOr<std::shared_ptr<const Prompt>> GreyQuestion(const chat::Preprocessor& preprocessor,
                                                           int context);

// Asks it: vision tower, a chunk of prefill and the text, one decoded token. Uses the first KV blocks and
// clears them.
absl::Status WarmUp(std::shared_ptr<const Prompt> question, engine::ModelRunner& runner);

}  // namespace varserve
