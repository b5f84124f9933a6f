// The API's methods over gRPC. Each creates a stream, reads the call's bytes and passes both to the chat
// service. A call that its headers rule out ends before its message is read. Thread-safe.
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
  int64_t max_message_bytes = 64 << 20;  // per request
  // Requests that are arriving or waiting for a worker; at least max_message_bytes.
  int64_t receive_memory = 256 << 20;
  absl::Duration read_timeout = absl::Seconds(60);   // for a request to arrive
  absl::Duration write_timeout = absl::Seconds(60);  // for a reader to take a message
  const BearerTokens* tokens = nullptr;              // null: everyone may call
  telemetry::Metrics* metrics = nullptr;
  const Clock* clock = nullptr;  // the chat service's
};

class InferenceService : public RawService {
 public:
  // The chat service must outlive the calls, and must end before this object, whose memory its work may hold.
  InferenceService(const ServiceOptions& options, chat::ChatService* chat);

  bool needs_token() const { return options_.tokens != nullptr; }
  // Shared by all services of a server.
  OpenCalls& open_calls() { return open_calls_; }

 private:
  using ModelRef = chat::ChatService::ModelRef;

  template <typename Request>
  void AddStreamingMethod(const char* path);

  // Sets the caller's name. UNAUTHENTICATED, or INVALID_ARGUMENT.
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
