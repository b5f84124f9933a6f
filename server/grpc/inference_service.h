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
#include "server/grpc/call_reactor.h"
#include "server/grpc/raw_service.h"
#include "server/grpc/reply_writer.h"
#include "server/telemetry/metrics.h"
#include "server/transport/bearer_tokens.h"
#include "server/transport/open_calls.h"

namespace varserve::rpc {

struct ServiceOptions {
  int64_t max_message_bytes = 64 << 20;             // per request
  transport::OpenCalls* open_calls = nullptr;       // of all transports; outlives the service
  const transport::BearerTokens* tokens = nullptr;  // null: everyone may call
  telemetry::Metrics* metrics = nullptr;
  const Clock* clock = nullptr;  // the chat service's
};

class InferenceService : public RawService {
 public:
  // The chat service must outlive the calls.
  InferenceService(const ServiceOptions& options, chat::ChatService* chat);

  bool needs_token() const { return options_.tokens != nullptr; }
  transport::OpenCalls& open_calls() { return *options_.open_calls; }

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
  ReplyWriter writer_;
};

}  // namespace varserve::rpc
