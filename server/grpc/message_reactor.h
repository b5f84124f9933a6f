// A call that sends protobuf messages unchanged: health, reflection and GetModel. Thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <deque>
#include <memory>
#include <utility>

#include "server/grpc/call_reactor.h"

namespace varserve::rpc {

class MessageReactor : public CallReactor {
 public:
  static std::shared_ptr<MessageReactor> Create(Context context) {
    return Own(new MessageReactor(std::move(context)));
  }

  void Send(const google::protobuf::Message& message) ABSL_LOCKS_EXCLUDED(mu_);
  // Sends the only message and ends the call.
  void Reply(const google::protobuf::Message& message) ABSL_LOCKS_EXCLUDED(mu_) {
    Send(message);
    End(absl::OkStatus());
  }

 private:
  using CallReactor::CallReactor;
  bool TakeMessage(grpc::ByteBuffer& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropMessages() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { pending_.clear(); }

  std::deque<grpc::ByteBuffer> pending_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::rpc
