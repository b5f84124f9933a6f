// OpenAI's endpoints, and the server's own: which request goes where, and who may send it. Used by the
// connections' thread but for SetReady.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"
#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/chat/chat_service.h"
#include "server/http/completion_call.h"
#include "server/http/connection.h"
#include "server/telemetry/metrics.h"
#include "server/transport/bearer_tokens.h"
#include "server/transport/open_calls.h"

namespace varserve::http {

struct ServiceOptions {
  int64_t max_message_bytes = 64 << 20;             // per request
  transport::OpenCalls* open_calls = nullptr;       // of all transports; outlives the service
  const transport::BearerTokens* tokens = nullptr;  // null: everyone may call
  telemetry::Metrics* metrics = nullptr;
  const Clock* clock = nullptr;  // the chat service's
  std::string server_version;
};

class OpenAiService {
 public:
  // The chat service must outlive the calls.
  OpenAiService(const ServiceOptions& options, chat::ChatService* chat);

  bool needs_token() const { return options_.tokens != nullptr; }
  void SetReady(bool ready) { ready_ = ready; }
  transport::OpenCalls& open_calls() { return *options_.open_calls; }

  // See Connection::OnRequest.
  std::shared_ptr<Exchange> Begin(Connection& connection, const RequestHead& head);

 private:
  std::shared_ptr<Exchange> BeginCompletion(Connection& connection, const RequestHead& head);
  // Reads the body and has it answered.
  void Answer(const chat::ChatService::ModelRef& model, const std::shared_ptr<chat::Call>& call,
              const std::shared_ptr<CompletionCall>& stream);
  void ReplyModels(Connection& connection, const RequestHead& head);
  // All models, or the one that the path names. UNAVAILABLE until one is loaded; INVALID_ARGUMENT, NOT_FOUND.
  absl::StatusOr<nlohmann::json> ModelsAt(absl::string_view path) const;
  void ReplyHealth(Connection& connection) const;
  // Sets the caller's name. UNAUTHENTICATED, or INVALID_ARGUMENT.
  absl::Status Identify(const RequestHead& head, chat::CallMetadata& metadata) const;

  const ServiceOptions options_;
  chat::ChatService* const chat_;
  const absl::Time started_;
  std::atomic<bool> ready_ = false;
};

}  // namespace varserve::http
