// The call of a streaming API method: a stream of responses over gRPC. Thread-safe.
//
// A slow reader never delays the model: while a write is in flight, a queue joins the responses that follow.
// Nor does a socket: the writer's thread starts the writes. A reader that does not take a write within the
// time limit (open_calls.h) is cancelled.
#pragma once

#include <memory>
#include <utility>

#include "server/chat/reply_queue.h"
#include "server/chat/response_stream.h"
#include "server/grpc/call_reactor.h"
#include "server/grpc/reply_writer.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::rpc {

class StreamReactor : public CallReactor,
                      public chat::ResponseStream,
                      public std::enable_shared_from_this<StreamReactor> {
 public:
  // Message type on the wire: GenerateResponse, or CompareResponse with the setting's index.
  enum class Framing { kGenerate, kCompare };

  // `writer` must outlive the call.
  static std::shared_ptr<StreamReactor> Create(Framing framing, Context context, ReplyWriter* writer) {
    return Own(new StreamReactor(framing, std::move(context), writer));
  }

  void Send(uint32_t setting, v1::GenerateResponse response) override ABSL_LOCKS_EXCLUDED(mu_);
  void End(const absl::Status& status) override { CallReactor::End(status); }
  void Abort(const absl::Status& status) override { CallReactor::Abort(status); }
  void NotifyWhenCancelled(std::function<void()> callback) override {
    CallReactor::NotifyWhenCancelled(std::move(callback));
  }
  void NotifyBeforeEnd(absl::AnyInvocable<void()> callback) override {
    CallReactor::NotifyBeforeEnd(std::move(callback));
  }
  absl::Status departure() const override { return CallReactor::departure(); }

 private:
  StreamReactor(Framing framing, Context context, ReplyWriter* writer)
      : CallReactor(std::move(context)), framing_(framing), writer_(writer) {}
  bool TakeMessage(grpc::ByteBuffer& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropMessages() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { replies_.Clear(); }

  const Framing framing_;
  ReplyWriter* const writer_;
  chat::ReplyQueue replies_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::rpc
