// One call from its arrival to its end: what it is called in logs, when things happened, and its stream. A
// Compare call has several generations (generation.h), all others one; the call ends well when the last of
// them does, and badly with the first that fails. Thread-safe.
#pragma once

#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/rpc/stream_reactor.h"
#include "server/telemetry/logging.h"

namespace varserve::rpc {

// What a caller's metadata say about the call.
struct CallMetadata {
  std::string caller;       // the name of its token, else the address it comes from
  std::string request_id;   // the caller's x-request-id, or made here
  std::string traceparent;  // W3C; empty if the caller sent none
  absl::Status status;      // INVALID_ARGUMENT if the caller's request id is none
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
};

// A request id that is too long or holds what does not belong into a log is replaced. The caller is its
// address.
CallMetadata ReadMetadata(const grpc::CallbackServerContext& context, const Clock& clock);
// `deadline`, of gRPC's clock, by ours; infinite where it is further away than can be said.
absl::Time ToOwnClock(const gpr_timespec& deadline, absl::Time now);
// Request id and traceparent, as they go back to the caller.
CallReactor::Metadata ReplyMetadata(const CallMetadata& metadata);

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(const char* method, CallMetadata metadata, std::shared_ptr<StreamReactor> stream)
      : method_(method), metadata_(std::move(metadata)), stream_(std::move(stream)) {}

  const char* method() const { return method_; }
  const CallMetadata& metadata() const { return metadata_; }
  StreamReactor& stream() const { return *stream_; }

  // How many generations have to end well. Before the first of them can.
  void Expect(int generations) ABSL_LOCKS_EXCLUDED(mu_);
  void GenerationEnded() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call with an error and what else of it runs.
  void Fail(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Cancels these sequences when the caller goes or the call fails.
  void CancelWithCall(engine::Engine& engine, std::vector<engine::SequenceId> sequences);

 private:
  const char* const method_;
  const CallMetadata metadata_;
  const std::shared_ptr<StreamReactor> stream_;

  absl::Mutex mu_;
  int expected_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace varserve::rpc
