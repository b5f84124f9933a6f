// The body of a POST to /v1/chat/completions. Fields that do not change the answer are ignored; those that
// would and that this server does not know are refused by name. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/chat/chat_request.h"
#include "server/chat/request_scan.h"
#include "server/openai/conversation.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::openai {

struct CompletionRequest {
  std::string model;  // as asked for
  Conversation conversation;
  v1::GenerateOptions options;
  v1::Intervention intervention;  // always with a method or a contrast
  bool in_var = true;             // its options are the body's "var", not in "intervention"
  int choices = 1;
  bool logprobs = false;
  bool stream = false;
  bool include_usage = false;  // a last chunk of the stream with it
};

// Frees the body as soon as it is parsed. INVALID_ARGUMENT beginning with the field's name, or NOT_FOUND for
// another model's name.
absl::StatusOr<std::unique_ptr<CompletionRequest>> ReadCompletion(std::string body,
                                                                  const chat::RequestLimits& limits,
                                                                  const v1::Model& model);

// For the pipeline: one setting for each choice. Keeps the request.
chat::ChatRequest ToChat(std::shared_ptr<CompletionRequest> request);

}  // namespace varserve::openai
