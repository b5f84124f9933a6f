// The writing side of one streaming call: a queue of responses, one write in flight, exactly one Finish,
// whoever loses interest first. Thread-safe.
//
// A slow reader never holds up the model: while a write is in flight deltas of the same stream join into one
// message, so the queue stays as short as the number of settings. A reader that does not take a write within
// the time the watchdog allows (stream_watchdog.h) is cancelled.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {

class StreamReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // What goes over the wire: GenerateResponse, or CompareResponse with the setting's index.
  enum class Framing { kGenerate, kCompare };

  using Metadata = std::vector<std::pair<std::string, std::string>>;

  // Lives until gRPC is done with the call and no other reference is left; `context` is the call's.
  // `metadata` goes back before the first message; with the status where there is none, for a refusal that
  // begins with anything else is not tried again by gRPC's clients and proxies.
  static std::shared_ptr<StreamReactor> Create(Framing framing, grpc::CallbackServerContext* context,
                                               Metadata metadata);

  void Send(uint32_t setting, v1::GenerateResponse response) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call with `status` once everything sent before is written. Only the first call counts.
  void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call with `status` as soon as the write in flight is done: drops what waits.
  void Abort(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // The same without waiting for a reader who does not take the write; he sees CANCELLED.
  void Break() ABSL_LOCKS_EXCLUDED(mu_);
  // `callback` runs once when the caller is gone or the call is aborted; at once if that has happened.
  void NotifyWhenCancelled(std::function<void()> callback) ABSL_LOCKS_EXCLUDED(mu_);
  bool cancelled() const ABSL_LOCKS_EXCLUDED(mu_);
  // How long the write in flight has been waiting for its reader; zero if there is none.
  absl::Duration write_age(absl::Time now) const ABSL_LOCKS_EXCLUDED(mu_);

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone() override;

 private:
  struct Pending {
    uint32_t setting;
    v1::GenerateResponse response;
  };

  StreamReactor(Framing framing, grpc::CallbackServerContext* context, Metadata metadata)
      : framing_(framing), context_(context), metadata_(std::move(metadata)) {}
  // Starts whatever comes next: a write, or Finish.
  void Advance() ABSL_LOCKS_EXCLUDED(mu_);
  grpc::ByteBuffer Encode(const Pending& pending) const;

  const Framing framing_;
  grpc::CallbackServerContext* const context_;  // valid until Finish
  std::shared_ptr<StreamReactor> self_;         // until OnDone
  Metadata metadata_;                           // not yet sent
  grpc::ByteBuffer writing_;                    // of the write in flight

  mutable absl::Mutex mu_;
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mu_);
  bool write_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time write_started_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing may be sent any more
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool breaking_ ABSL_GUARDED_BY(mu_) = false;  // context_ is in use
  bool finished_ ABSL_GUARDED_BY(mu_) = false;  // Finish was called
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
  std::function<void()> on_cancelled_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::rpc
