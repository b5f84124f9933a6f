// The messages of a chat completion as the pipeline's conversation and pictures. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "server/chat/request_scan.h"
#include "server/openai/image_url.h"
#include "server/text/message.h"

namespace varserve::openai {

struct Conversation {
  std::vector<text::Message> messages;
  std::vector<Picture> pictures;  // of the ImageParts, in order
};

// Takes the texts from `messages`. INVALID_ARGUMENT beginning with the field's name.
absl::StatusOr<Conversation> ReadConversation(nlohmann::json* messages, const chat::RequestLimits& limits);

}  // namespace varserve::openai
