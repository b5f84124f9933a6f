// The replies of one call on their way to its caller. The pipeline writes them; each transport implements
// this. Thread-safe. No function waits for the caller.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

class ResponseStream {
 public:
  virtual ~ResponseStream() = default;

  // `setting` is the index in a Compare, 0 for all others. Dropped once the call has ended. A ReplyQueue
  // holds what the caller has not taken yet.
  virtual void Send(uint32_t setting, v1::GenerateResponse response) = 0;
  // Ends the call with `status` once everything sent before is written. Only the first end counts.
  virtual void End(const absl::Status& status) = 0;
  // Ends the call with `status` as soon as possible, and drops replies that wait.
  virtual void Abort(const absl::Status& status) = 0;

  // `callback` runs once when the caller is gone or the call is aborted; at once if that has happened.
  virtual void NotifyWhenCancelled(std::function<void()> callback) = 0;
  // `callback` runs once, before the call's status goes out: everything is written, or will never be.
  virtual void NotifyBeforeEnd(absl::AnyInvocable<void()> callback) = 0;
  // Why the caller is gone: DEADLINE_EXCEEDED or CANCELLED. OK while it is connected.
  virtual absl::Status departure() const = 0;
};

}  // namespace varserve::chat
