// What every transport does with a call that asks for answers: reserve a place in the engine's queue; then,
// on a worker, read and check the request, decode its pictures, build the prompt and submit it. The engine's
// thread sends tokens to the call's ResponseStream (generation.h). Independent of the transport. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/byte_budget.h"
#include "server/base/clock.h"
#include "server/chat/call.h"
#include "server/chat/chat_request.h"
#include "server/chat/generation.h"
#include "server/chat/image_cache.h"
#include "server/chat/preprocessor.h"
#include "server/chat/request_options.h"
#include "server/chat/request_scan.h"
#include "server/chat/url_images.h"
#include "server/chat/worker_pool.h"
#include "server/engine/engine.h"
#include "server/interventions/table/table.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

// A loaded model, ready to take requests. Must outlive all calls.
struct ServingModel {
  engine::Engine* engine = nullptr;
  const Preprocessor* preprocessor = nullptr;
  v1::Model description;
  interventions::Defaults intervention_defaults;
  GenerationServices services;
};

struct ChatOptions {
  int worker_threads = 2;
  ByteBudget* image_memory = nullptr;  // of all pictures; required, outlives all requests
  int64_t image_cache = 0;             // bytes of pictures that callers can name instead of sending again
  UrlImages::Options url_images;       // none are fetched
  telemetry::Metrics* metrics = nullptr;
  telemetry::Logger* logger = nullptr;
  const Clock* clock = nullptr;  // the engine's
};

class ChatService {
 public:
  using ModelRef = std::shared_ptr<const ServingModel>;
  // Reads a request of the API from what its transport received, within `limits`. Runs on a worker, and is
  // destroyed as soon as it has run.
  template <typename Request>
  using ReadRequest = absl::AnyInvocable<absl::Status(const RequestLimits& limits, Request& request) &&>;
  // The same for a request that is not one of the API's messages.
  using ReadChatRequest = absl::AnyInvocable<absl::StatusOr<ChatRequest>(const RequestLimits& limits) &&>;

  explicit ChatService(const ChatOptions& options);
  // Finishes accepted work. Destroy it before the transports, whose streams it uses.
  ~ChatService() = default;

  // Calls are UNAVAILABLE with this reason until Serve and after Refuse.
  void Serve(ModelRef model) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(std::string reason) ABSL_LOCKS_EXCLUDED(mu_);

  // The model that is served. UNAVAILABLE.
  absl::StatusOr<ModelRef> model() const ABSL_LOCKS_EXCLUDED(mu_);
  // Also fails if the queue would not accept another call now. For a call whose message has not been read:
  // only Answer reserves a place, so that nobody holds one by sending slowly.
  absl::StatusOr<ModelRef> Admit(const CallMetadata& metadata) const ABSL_LOCKS_EXCLUDED(mu_);

  // Answers a call, with any of the four requests of the API, or ends it with an error. Returns at once.
  template <typename Request>
  void Answer(const ModelRef& model, const std::shared_ptr<Call>& call, ReadRequest<Request> read);
  void Answer(const ModelRef& model, const std::shared_ptr<Call>& call, ReadChatRequest read);

  // Ends a call that has no generation, and accounts for it.
  void Refuse(Call& call, const absl::Status& status, interventions::Mode mode = interventions::Mode::kOff);

 private:
  // The rest of the work, on a worker; sets the mode once it is known.
  using Work = absl::AnyInvocable<absl::Status(engine::Engine::Place place, interventions::Mode& mode)>;

  // Reserves a place in the queue and passes the rest to a worker.
  absl::Status Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call, Work work);
  // On a worker: has the request's pictures fetched, then submits it with a new place in the queue, so that
  // nobody holds one while a slow host sends.
  absl::Status FetchAndSubmit(const ModelRef& model, const std::shared_ptr<Call>& call, ChatRequest chat,
                              engine::Engine::Place place);
  // On a worker: everything from the request to the engine.
  absl::Status Submit(const ModelRef& model, const std::shared_ptr<Call>& call, const ChatRequest& chat,
                      engine::Engine::Place place, interventions::Mode& mode);

  const ChatOptions options_;
  ImageCache image_cache_;
  mutable absl::Mutex mu_;
  ModelRef model_ ABSL_GUARDED_BY(mu_);
  std::string refusal_ ABSL_GUARDED_BY(mu_) = "the server is starting: the model is not loaded yet";
  // Last, as their threads end before what they use: fetched pictures go to the workers.
  WorkerPool workers_;
  UrlImages url_images_;
};

}  // namespace varserve::chat
