// The API's methods. Each creates a stream and hands the work to the pool: parse, check, decode images, build
// the prompt, submit to the engine; tokens then come from the engine's thread. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/byte_budget.h"
#include "server/engine/engine.h"
#include "server/preprocess/preprocessor.h"
#include "server/rpc/bearer_tokens.h"
#include "server/rpc/call.h"
#include "server/rpc/chat_request.h"
#include "server/rpc/generation.h"
#include "server/rpc/request_options.h"
#include "server/rpc/stream_watchdog.h"
#include "server/rpc/worker_pool.h"
#include "varserve/v1/inference.grpc.pb.h"

namespace varserve::rpc {

// A loaded model, ready to take requests. Must outlive the service's calls.
struct ServingModel {
  engine::Engine* engine = nullptr;
  const preprocess::Preprocessor* preprocessor = nullptr;
  v1::Model description;
  VarDefaults var_defaults;
  GenerationServices services;
};

struct ServiceOptions {
  int worker_threads = 2;
  int64_t max_preprocessing_bytes = 512 << 20;  // of requests that wait for a worker
  ByteBudget* image_memory = nullptr;           // of all pictures; required, outlives all requests
  absl::Duration write_timeout = absl::Seconds(60);
  const BearerTokens* tokens = nullptr;  // null: everybody may call
  telemetry::Metrics* metrics = nullptr;
  telemetry::Logger* logger = nullptr;
  const Clock* clock = nullptr;  // the engine's
};

// Streaming methods take raw bytes, so that a message that cannot be parsed gets an answer that says why.
using InferenceServiceBase =
    v1::VisionLanguage::WithRawCallbackMethod_Answer<v1::VisionLanguage::WithRawCallbackMethod_Caption<
        v1::VisionLanguage::WithRawCallbackMethod_Generate<v1::VisionLanguage::WithRawCallbackMethod_Compare<
            v1::VisionLanguage::WithCallbackMethod_GetModel<v1::VisionLanguage::Service>>>>>;

class InferenceService : public InferenceServiceBase {
 public:
  using Stream = grpc::ServerWriteReactor<grpc::ByteBuffer>;

  explicit InferenceService(const ServiceOptions& options);

  // Calls are UNAVAILABLE with this reason until Serve and after Refuse.
  void Serve(std::shared_ptr<const ServingModel> model) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(std::string reason) ABSL_LOCKS_EXCLUDED(mu_);

  Stream* Answer(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  Stream* Caption(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  Stream* Generate(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  Stream* Compare(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const v1::GetModelRequest* request,
                                     v1::Model* response) override;

 private:
  using ModelRef = std::shared_ptr<const ServingModel>;

  // UNAVAILABLE, or UNAUTHENTICATED.
  absl::StatusOr<ModelRef> Admit(const grpc::CallbackServerContext& context) const ABSL_LOCKS_EXCLUDED(mu_);
  // Ends a call of which no generation was made.
  void Refuse(Call& call, engine::VarMode mode, const absl::Status& status);
  template <typename Request>
  Stream* Start(const char* method, grpc::CallbackServerContext* context, const grpc::ByteBuffer* bytes);
  // Takes a place in the queue and hands the rest to a worker.
  template <typename Request>
  absl::Status Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call,
                       const grpc::ByteBuffer* request_bytes);
  // On a worker: everything between the request and the engine.
  absl::Status Submit(const ModelRef& model, const std::shared_ptr<Call>& call, const ChatRequest& chat,
                      engine::Engine::Place place, engine::VarMode& mode);

  const ServiceOptions options_;
  mutable absl::Mutex mu_;
  ModelRef model_ ABSL_GUARDED_BY(mu_);
  std::string refusal_ ABSL_GUARDED_BY(mu_) = "the server is starting: the model is not loaded yet";
  StreamWatchdog watchdog_;
  WorkerPool workers_;  // last: its threads end before what they use
};

}  // namespace varserve::rpc
