// The call of a streaming method of the API: a queue of responses. Thread-safe.
//
// A slow reader never holds up the model: while a write is in flight deltas of the same stream join into one
// message, as long as it stays small, so the queue stays short. A reader that does not take a write within
// the time that is allowed (open_calls.h) is cancelled.
#pragma once

#include <deque>
#include <memory>

#include "server/rpc/call_reactor.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {

class StreamReactor : public CallReactor {
 public:
  // What goes over the wire: GenerateResponse, or CompareResponse with the setting's index.
  enum class Framing { kGenerate, kCompare };

  static std::shared_ptr<StreamReactor> Create(Framing framing, Context context) {
    return Own(new StreamReactor(framing, std::move(context)));
  }

  void Send(uint32_t setting, v1::GenerateResponse response) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Pending {
    uint32_t setting;
    v1::GenerateResponse response;
    size_t bytes;  // about
  };

  StreamReactor(Framing framing, Context context) : CallReactor(std::move(context)), framing_(framing) {}
  bool TakeMessage(grpc::ByteBuffer& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropMessages() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { pending_.clear(); }

  const Framing framing_;
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::rpc
