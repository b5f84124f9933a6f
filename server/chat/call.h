// One call from its arrival to its end: its name in logs, its times and its stream. A Compare call has
// several generations (generation.h), any other call one. The call succeeds when all of them have, and fails
// with the first that fails. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/chat/response_stream.h"
#include "server/engine/engine.h"

namespace varserve::chat {

// What is known of a call apart from its message.
struct CallMetadata {
  const char* transport = "";  // "grpc" or "http"
  std::string caller;          // the name of its token, else its address
  std::string request_id;      // the caller's x-request-id, or made here
  std::string traceparent;     // W3C; empty if the caller sent none
  absl::Status status;         // INVALID_ARGUMENT if the caller's request id is not valid
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
};

// From the caller's headers x-request-id and traceparent, empty if not sent. A request id that is too long or
// not fit for a log is replaced, and `status` refuses the call.
CallMetadata MakeCallMetadata(std::string request_id, std::string traceparent);

class Call : public std::enable_shared_from_this<Call> {
 public:
  // `method` is a string literal.
  Call(const char* method, CallMetadata metadata, std::shared_ptr<ResponseStream> stream)
      : method_(method), metadata_(std::move(metadata)), stream_(std::move(stream)) {}

  const char* method() const { return method_; }
  const CallMetadata& metadata() const { return metadata_; }
  ResponseStream& stream() const { return *stream_; }

  // The number of generations that must succeed. Called before the first can end.
  void Expect(int generations) ABSL_LOCKS_EXCLUDED(mu_);
  void GenerationEnded() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends the call with an error, and cancels its other generations.
  void Fail(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  // Cancels these sequences when the caller disconnects or the call fails.
  void CancelWithCall(engine::Engine& engine, std::vector<engine::SequenceId> sequences);

 private:
  const char* const method_;
  const CallMetadata metadata_;
  const std::shared_ptr<ResponseStream> stream_;

  absl::Mutex mu_;
  int expected_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace varserve::chat
