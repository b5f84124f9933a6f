// The prompt of a contrast's sibling, made from its request's. Thread-safe.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "server/text/message.h"
#include "server/text/prompt_builder.h"

namespace varserve::chat {

// `prompt`: what `prompts` built of the conversation. Null if it has no picture: then there is nothing to
// contrast. INVALID_ARGUMENT that names no field if the sibling's prompt is too long for the context.
absl::StatusOr<std::shared_ptr<const Prompt>> MakeSiblingPrompt(const text::PromptBuilder& prompts,
                                                                absl::Span<const text::Message> messages,
                                                                const Prompt& prompt,
                                                                const interventions::SiblingPrompt& sibling,
                                                                int context);

}  // namespace varserve::chat
