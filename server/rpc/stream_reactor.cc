#include "server/rpc/stream_reactor.h"

#include <algorithm>
#include <utility>

#include "server/rpc/reply_size.h"
#include "server/rpc/wire.h"

namespace varserve::rpc {
namespace {

void MergeDelta(const v1::Delta& from, v1::Delta& into) {
  into.mutable_text()->append(from.text());
  into.mutable_token_ids()->MergeFrom(from.token_ids());
  into.mutable_logprobs()->MergeFrom(from.logprobs());
}

}  // namespace

void StreamReactor::Send(uint32_t setting, v1::GenerateResponse response) {
  const size_t bytes = response.ByteSizeLong();
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    const auto last = std::find_if(pending_.rbegin(), pending_.rend(),
                                   [&](const Pending& p) { return p.setting == setting; });
    if (response.has_delta() && last != pending_.rend() && last->response.has_delta() &&
        last->bytes + bytes <= kMaxDeltaBytes) {
      MergeDelta(response.delta(), *last->response.mutable_delta());
      last->bytes += bytes;
    } else {
      pending_.push_back({setting, std::move(response), bytes});
    }
  }
  Advance();
}

bool StreamReactor::TakeMessage(grpc::ByteBuffer& message) {
  if (pending_.empty()) return false;
  Pending& pending = pending_.front();
  if (framing_ == Framing::kGenerate) {
    message = ToBytes(pending.response);
  } else {
    v1::CompareResponse response;
    response.set_setting(pending.setting);
    *response.mutable_response() = std::move(pending.response);
    message = ToBytes(response);
  }
  pending_.pop_front();
  return true;
}

}  // namespace varserve::rpc
