// One streaming call: reads its request and writes its messages. At most one write is in flight, and Finish
// is called exactly once, whichever side ends the call. Thread-safe.
//
// On the wire, a call with one request looks like a call with many. To gRPC, every method here has many
// (raw_service.h), so a call begins with its headers: a call can be rejected before a byte of its message is
// read, and a message that arrives too slowly or grows too large can be given up.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/transport/open_calls.h"

namespace varserve::rpc {

class CallReactor : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                    public transport::OpenCall {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;
  struct Context {
    grpc::CallbackServerContext* call = nullptr;  // valid until Finish
    transport::OpenCalls* open_calls = nullptr;
    std::string caller;
    absl::Time arrival;
    absl::Time deadline = absl::InfiniteFuture();
    // Sent before the first message, or with the status if there is none: gRPC's clients and proxies do not
    // retry a rejection that begins with anything else.
    Metadata metadata;
  };
  // A message, which counts toward the receive memory as long as `hold` lives.
  struct Message {
    grpc::ByteBuffer bytes;
    transport::OpenCalls::Hold hold;
  };
  using OnRequest = absl::AnyInvocable<void(absl::StatusOr<Message>)>;

  // Reads the call's only message. `on_request` runs once, on one of gRPC's threads, with the message or with
  // the reason why there is none. INVALID_ARGUMENT if the caller sends no message, or more than one.
  void ReadOne(int64_t max_bytes, OnRequest on_request) ABSL_LOCKS_EXCLUDED(mu_);
  // Reads one message after another, each after everything sent before is written. Passes each to
  // `on_request`, and finally the reason why no more come. Ends the call with OK if the caller has no more to
  // send.
  void ReadAll(int64_t max_bytes, OnRequest on_request) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the call with `status` once everything sent before is written. Only the first call counts.
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  void Abort(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_) {
    Abort(status, absl::OkStatus());
  }
  void Break(absl::Duration unread) override ABSL_LOCKS_EXCLUDED(mu_);

  // `callback` runs once when the caller is gone or the call is aborted; immediately if that has happened.
  void NotifyWhenCancelled(std::function<void()> callback) ABSL_LOCKS_EXCLUDED(mu_);
  // `callback` runs once before the call's status is sent, when everything is written or never will be.
  void NotifyBeforeEnd(absl::AnyInvocable<void()> callback) ABSL_LOCKS_EXCLUDED(mu_);
  // Why the caller gets no more: DEADLINE_EXCEEDED or CANCELLED. OK while the caller is connected.
  absl::Status departure() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Duration write_age(absl::Time now) const override ABSL_LOCKS_EXCLUDED(mu_);

  const std::string& peer() const override { return peer_; }
  const std::string& caller() const override { return context_.caller; }

  void OnReadDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone() override;

 protected:
  explicit CallReactor(Context context);

  // The call lives until gRPC is done with it and there are no other references.
  template <typename Reactor>
  static std::shared_ptr<Reactor> Own(Reactor* reactor) {
    std::shared_ptr<Reactor> owned(reactor);
    owned->self_ = owned;
    return owned;
  }

  // The next message to write, if there is one.
  virtual bool TakeMessage(grpc::ByteBuffer& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) = 0;
  virtual void DropMessages() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) = 0;
  // Starts the next operation: a write, Finish or a read.
  void Advance() ABSL_LOCKS_EXCLUDED(mu_);

  mutable absl::Mutex mu_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing more may be sent

 private:
  enum class Requests { kOne, kMany };

  void Read(Requests requests, int64_t max_bytes, OnRequest on_request) ABSL_LOCKS_EXCLUDED(mu_);
  void WantRead() ABSL_LOCKS_EXCLUDED(mu_);
  void HandOver(absl::StatusOr<Message> last);
  // The reason for a failed read. OK if the caller has sent everything.
  absl::Status EndOfRequests() ABSL_LOCKS_EXCLUDED(mu_);
  void Abort(const absl::Status& status, const absl::Status& departure) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Departure() const;
  void StopUse() ABSL_LOCKS_EXCLUDED(mu_);

  Context context_;
  const std::string peer_;
  std::shared_ptr<CallReactor> self_;  // until OnDone
  grpc::ByteBuffer writing_;           // of the write in flight

  // State of the one read that may be in progress.
  Requests requests_ = Requests::kOne;
  int64_t max_bytes_ = 0;
  OnRequest on_request_;
  grpc::ByteBuffer reading_;
  transport::OpenCalls::Hold hold_;
  std::optional<Message> only_;  // arrived, but another message may follow

  bool wants_read_ ABSL_GUARDED_BY(mu_) = false;
  bool write_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time write_started_ ABSL_GUARDED_BY(mu_);
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  int in_use_ ABSL_GUARDED_BY(mu_) = 0;         // threads that are calling gRPC; Finish must wait for them
  bool finished_ ABSL_GUARDED_BY(mu_) = false;  // Finish was called
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  absl::Status departure_ ABSL_GUARDED_BY(mu_);
  std::function<void()> on_cancelled_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> before_end_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::rpc
