// What every transport does with a call that asks for answers: take a place in the engine's queue, then on a
// worker read and check the request, decode its pictures, build the prompt and submit it. Tokens come back
// from the engine's thread (generation.h) to the call's ResponseStream. Knows no transport. Thread-safe.
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
#include "server/chat/preprocessor.h"
#include "server/chat/request_options.h"
#include "server/chat/request_scan.h"
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
  telemetry::Metrics* metrics = nullptr;
  telemetry::Logger* logger = nullptr;
  const Clock* clock = nullptr;  // the engine's
};

class ChatService {
 public:
  using ModelRef = std::shared_ptr<const ServingModel>;
  // Fills in a request of the API from whatever its transport got, within `limits`. Runs on a worker, and is
  // destroyed with what it holds as soon as it has run.
  template <typename Request>
  using ReadRequest = absl::AnyInvocable<absl::Status(const RequestLimits& limits, Request& request) &&>;

  explicit ChatService(const ChatOptions& options);
  // Runs what was accepted to its end: before the transports go, whose streams it uses.
  ~ChatService() = default;

  // Calls are UNAVAILABLE with this reason until Serve and after Refuse.
  void Serve(ModelRef model) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(std::string reason) ABSL_LOCKS_EXCLUDED(mu_);

  // The model that is served. UNAVAILABLE.
  absl::StatusOr<ModelRef> model() const ABSL_LOCKS_EXCLUDED(mu_);
  // The same for a call whose message has not been read: an error if the queue would not take it now. It
  // takes a place only in Answer, so that nobody holds one by sending slowly.
  absl::StatusOr<ModelRef> Admit(const CallMetadata& metadata) const ABSL_LOCKS_EXCLUDED(mu_);

  // Answers a call, with any of the four requests of the API, or ends it with an error. Returns at once.
  template <typename Request>
  void Answer(const ModelRef& model, const std::shared_ptr<Call>& call, ReadRequest<Request> read);

  // Ends a call of which no generation was made, and accounts for it.
  void Refuse(Call& call, const absl::Status& status, interventions::Mode mode = interventions::Mode::kOff);

 private:
  // What is left to do on a worker; says the mode once that is known.
  using Work = absl::AnyInvocable<absl::Status(engine::Engine::Place place, interventions::Mode& mode)>;

  // Takes a place in the queue and hands the rest to a worker.
  absl::Status Enqueue(const ModelRef& model, const std::shared_ptr<Call>& call, Work work);
  // On a worker: everything between the request and the engine.
  absl::Status Submit(const ModelRef& model, const std::shared_ptr<Call>& call, const ChatRequest& chat,
                      engine::Engine::Place place, interventions::Mode& mode);

  const ChatOptions options_;
  mutable absl::Mutex mu_;
  ModelRef model_ ABSL_GUARDED_BY(mu_);
  std::string refusal_ ABSL_GUARDED_BY(mu_) = "the server is starting: the model is not loaded yet";
  WorkerPool workers_;  // last: its threads end before what they use
};

}  // namespace varserve::chat
