// The API's methods over gRPC: each creates a stream, reads the call's bytes and hands both to the chat
// service. What its headers tell against a call ends it before its message is read. Thread-safe.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/chat/chat_service.h"
#include "server/grpc/bearer_tokens.h"
#include "server/grpc/call_reactor.h"
#include "server/grpc/open_calls.h"
#include "server/grpc/raw_service.h"
#include "server/telemetry/metrics.h"

namespace varserve::rpc {

struct ServiceOptions {
  int64_t max_message_bytes = 64 << 20;  // of a request
  // Of requests that arrive or wait for a worker; at least max_message_bytes.
  int64_t receive_memory = 256 << 20;
  absl::Duration read_timeout = absl::Seconds(60);   // for a request to arrive
  absl::Duration write_timeout = absl::Seconds(60);  // for a reader to take a message
  const BearerTokens* tokens = nullptr;              // null: everybody may call
  telemetry::Metrics* metrics = nullptr;
  const Clock* clock = nullptr;  // the chat service's
};

class InferenceService : public RawService {
 public:
  // The chat service must outlive the calls, and end before this, whose memory its work may hold.
  InferenceService(const ServiceOptions& options, chat::ChatService* chat);

  bool needs_token() const { return options_.tokens != nullptr; }
  // For all services of a server.
  OpenCalls& open_calls() { return open_calls_; }

 private:
  using ModelRef = chat::ChatService::ModelRef;

  template <typename Request>
  void AddStreamingMethod(const char* path);

  // Names the caller. UNAUTHENTICATED, or INVALID_ARGUMENT.
  absl::Status Identify(const grpc::CallbackServerContext& context, chat::CallMetadata& metadata) const;
  CallReactor::Context ContextOf(grpc::CallbackServerContext* context, const chat::CallMetadata& metadata);
  template <typename Request>
  Reactor* Start(const char* method, grpc::CallbackServerContext* context);
  Reactor* GetModel(grpc::CallbackServerContext* context);

  const ServiceOptions options_;
  chat::ChatService* const chat_;
  OpenCalls open_calls_;
};

}  // namespace varserve::rpc
