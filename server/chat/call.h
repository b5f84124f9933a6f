// One call from its arrival to its end: what it is called in logs, when things happened, and its stream. A
// Compare call has several generations (generation.h), all others one; the call ends well when the last of
// them does, and badly with the first that fails. Thread-safe.
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

// What is known of a call beside its message.
struct CallMetadata {
  std::string caller;       // the name of its token, else the address it comes from
  std::string request_id;   // the caller's x-request-id, or made here
  std::string traceparent;  // W3C; empty if the caller sent none
  absl::Status status;      // INVALID_ARGUMENT if the caller's request id is none
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
};

// Of the caller's headers x-request-id and traceparent, empty where it sent none. A request id that is too
// long or holds what does not belong into a log is replaced.
CallMetadata MakeCallMetadata(std::string request_id, std::string traceparent);

class Call : public std::enable_shared_from_this<Call> {
 public:
  // `method` is a literal.
  Call(const char* method, CallMetadata metadata, std::shared_ptr<ResponseStream> stream)
      : method_(method), metadata_(std::move(metadata)), stream_(std::move(stream)) {}

  const char* method() const { return method_; }
  const CallMetadata& metadata() const { return metadata_; }
  ResponseStream& stream() const { return *stream_; }

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
  const std::shared_ptr<ResponseStream> stream_;

  absl::Mutex mu_;
  int expected_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace varserve::chat
