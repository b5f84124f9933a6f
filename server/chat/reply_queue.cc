#include "server/chat/reply_queue.h"

#include <algorithm>
#include <utility>

#include "server/chat/reply_size.h"

namespace varserve::chat {
namespace {

void MergeDelta(const v1::Delta& from, v1::Delta& into) {
  into.mutable_text()->append(from.text());
  into.mutable_token_ids()->MergeFrom(from.token_ids());
  into.mutable_logprobs()->MergeFrom(from.logprobs());
}

}  // namespace

void ReplyQueue::Push(uint32_t setting, v1::GenerateResponse response) {
  const size_t bytes = response.ByteSizeLong();
  const auto last = std::find_if(replies_.rbegin(), replies_.rend(),
                                 [&](const Reply& reply) { return reply.setting == setting; });
  if (response.has_delta() && last != replies_.rend() && last->response.has_delta() &&
      last->bytes + bytes <= kMaxDeltaBytes) {
    MergeDelta(response.delta(), *last->response.mutable_delta());
    last->bytes += bytes;
  } else {
    replies_.push_back({setting, std::move(response), bytes});
  }
}

Reply ReplyQueue::Pop() {
  Reply reply = std::move(replies_.front());
  replies_.pop_front();
  return reply;
}

}  // namespace varserve::chat
