// The API's methods. Each creates a stream, reads the request and hands the work to the pool: parse, check,
// decode images, build the prompt, submit to the engine; tokens then come from the engine's thread. What its
// headers tell against a call ends it before its message is read. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/byte_budget.h"
#include "server/engine/engine.h"
#include "server/interventions/table/table.h"
#include "server/preprocess/preprocessor.h"
#include "server/rpc/bearer_tokens.h"
#include "server/rpc/call.h"
#include "server/rpc/chat_request.h"
#include "server/rpc/generation.h"
#include "server/rpc/open_calls.h"
#include "server/rpc/raw_service.h"
#include "server/rpc/request_options.h"
#include "server/rpc/worker_pool.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {

// A loaded model, ready to take requests. Must outlive the service's calls.
struct ServingModel {
  engine::Engine* engine = nullptr;
  const preprocess::Preprocessor* preprocessor = nullptr;
  v1::Model description;
  interventions::Defaults intervention_defaults;
  GenerationServices services;
};

struct ServiceOptions {
  int worker_threads = 2;
  int64_t max_message_bytes = 64 << 20;  // of a request
  // Of requests that arrive or wait for a worker; at least max_message_bytes.
  int64_t receive_memory = 256 << 20;
  ByteBudget* image_memory = nullptr;                // of all pictures; required, outlives all requests
  absl::Duration read_timeout = absl::Seconds(60);   // for a request to arrive
  absl::Duration write_timeout = absl::Seconds(60);  // for a reader to take a message
  const BearerTokens* tokens = nullptr;              // null: everybody may call
  telemetry::Metrics* metrics = nullptr;
  telemetry::Logger* logger = nullptr;
  const Clock* clock = nullptr;  // the engine's
};

class InferenceService : public RawService {
 public:
  explicit InferenceService(const ServiceOptions& options);

  // Calls are UNAVAILABLE with this reason until Serve and after Refuse.
  void Serve(std::shared_ptr<const ServingModel> model) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(std::string reason) ABSL_LOCKS_EXCLUDED(mu_);

  bool needs_token() const { return options_.tokens != nullptr; }
  // For all services of a server.
  OpenCalls& open_calls() { return open_calls_; }

 private:
  using ModelRef = std::shared_ptr<const ServingModel>;

  template <typename Request>
  void AddStreamingMethod(const char* path);

  // UNAVAILABLE, or UNAUTHENTICATED. Names the caller.
  absl::StatusOr<ModelRef> Admit(const grpc::CallbackServerContext& context, CallMetadata& metadata) const
      ABSL_LOCKS_EXCLUDED(mu_);
  CallReactor::Context ContextOf(grpc::CallbackServerContext* context, const CallMetadata& metadata);
  // Ends a call of which no generation was made.
  void Refuse(Call& call, interventions::Mode mode, const absl::Status& status);
  template <typename Request>
  Reactor* Start(const char* method, grpc::CallbackServerContext* context);
  // Takes a place in the queue and hands the rest to a worker.
  template <typename Request>
  absl::Status Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call,
                       CallReactor::Message message);
  // On a worker: everything between the request and the engine.
  absl::Status Submit(const ModelRef& model, const std::shared_ptr<Call>& call, const ChatRequest& chat,
                      engine::Engine::Place place, interventions::Mode& mode);
  Reactor* GetModel(grpc::CallbackServerContext* context);

  const ServiceOptions options_;
  mutable absl::Mutex mu_;
  ModelRef model_ ABSL_GUARDED_BY(mu_);
  std::string refusal_ ABSL_GUARDED_BY(mu_) = "the server is starting: the model is not loaded yet";
  OpenCalls open_calls_;
  WorkerPool workers_;  // last: its threads end before what they use
};

}  // namespace varserve::rpc
