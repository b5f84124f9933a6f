#include "server/grpc/message_reactor.h"

#include "server/grpc/wire.h"

namespace varserve::rpc {

void MessageReactor::Send(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes = ToBytes(message);
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    pending_.push_back(std::move(bytes));
  }
  Advance();
}

bool MessageReactor::TakeMessage(grpc::ByteBuffer& message) {
  if (pending_.empty()) return false;
  message = std::move(pending_.front());
  pending_.pop_front();
  return true;
}

}  // namespace varserve::rpc
