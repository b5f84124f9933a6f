#include "server/grpc/stream_reactor.h"

#include <utility>

#include "server/grpc/wire.h"

namespace varserve::rpc {

void StreamReactor::Send(uint32_t setting, v1::GenerateResponse response) {
  absl::MutexLock lock(&mu_);  // of a call that has not ended, which the writer outlives
  if (ended_) return;
  replies_.Push(setting, std::move(response));
  writer_->Post([self = shared_from_this()] { self->Advance(); });
}

bool StreamReactor::TakeMessage(grpc::ByteBuffer& message) {
  if (replies_.empty()) return false;
  chat::Reply reply = replies_.Pop();
  if (framing_ == Framing::kGenerate) {
    message = ToBytes(reply.response);
  } else {
    v1::CompareResponse response;
    response.set_setting(reply.setting);
    *response.mutable_response() = std::move(reply.response);
    message = ToBytes(response);
  }
  return true;
}

}  // namespace varserve::rpc
