#include "server/rpc/stream_reactor.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace varserve::rpc {
namespace {

void MergeDelta(const v1::Delta& from, v1::Delta& into) {
  into.mutable_text()->append(from.text());
  into.mutable_token_ids()->MergeFrom(from.token_ids());
  into.mutable_logprobs()->MergeFrom(from.logprobs());
}

grpc::ByteBuffer Serialize(const google::protobuf::Message& message) {
  grpc::ByteBuffer buffer;
  bool own_buffer = false;
  grpc::SerializationTraits<google::protobuf::Message>::Serialize(message, &buffer, &own_buffer);
  return buffer;
}

}  // namespace

std::shared_ptr<StreamReactor> StreamReactor::Create(Framing framing, grpc::CallbackServerContext* context,
                                                     Metadata metadata) {
  std::shared_ptr<StreamReactor> reactor(new StreamReactor(framing, context, std::move(metadata)));
  reactor->self_ = reactor;
  return reactor;
}

void StreamReactor::Send(uint32_t setting, v1::GenerateResponse response) {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    const auto last = std::find_if(pending_.rbegin(), pending_.rend(),
                                   [&](const Pending& p) { return p.setting == setting; });
    if (response.has_delta() && last != pending_.rend() && last->response.has_delta()) {
      MergeDelta(response.delta(), *last->response.mutable_delta());
    } else {
      pending_.push_back({setting, std::move(response)});
    }
  }
  Advance();
}

void StreamReactor::End(const grpc::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
  }
  Advance();
}

void StreamReactor::Abort(const grpc::Status& status) {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mu_);
    if (!cancelled_) {
      cancelled_ = true;
      pending_.clear();
      if (!ended_) status_ = status;
      ended_ = true;
      callback = std::exchange(on_cancelled_, nullptr);
    }
  }
  if (callback) callback();
  Advance();
}

void StreamReactor::Break() {
  {
    absl::MutexLock lock(&mu_);
    if (finished_ || breaking_) return;
    breaking_ = true;
  }
  context_->TryCancel();  // without the lock: reactions may run on this thread
  {
    absl::MutexLock lock(&mu_);
    breaking_ = false;
  }
  Abort(grpc::Status::CANCELLED);
}

void StreamReactor::NotifyWhenCancelled(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mu_);
    if (!cancelled_) {
      on_cancelled_ = std::move(callback);
      return;
    }
  }
  callback();
}

bool StreamReactor::cancelled() const {
  absl::MutexLock lock(&mu_);
  return cancelled_;
}

absl::Duration StreamReactor::write_age(absl::Time now) const {
  absl::MutexLock lock(&mu_);
  return write_in_flight_ ? now - write_started_ : absl::ZeroDuration();
}

void StreamReactor::Advance() {
  enum class Next { kNothing, kWrite, kFinish } next = Next::kNothing;
  grpc::Status status;
  std::function<void()> dropped;
  {
    absl::MutexLock lock(&mu_);
    if (write_in_flight_ || breaking_ || finished_) return;
    if (!pending_.empty()) {
      next = Next::kWrite;
      writing_ = Encode(pending_.front());
      pending_.pop_front();
      write_in_flight_ = true;
      write_started_ = absl::Now();
    } else if (ended_) {
      next = Next::kFinish;
      finished_ = true;
      status = status_;
      dropped = std::exchange(on_cancelled_, nullptr);
    }
  }
  // Without the lock: gRPC may run a reaction on this thread before the call returns. The flags let only one
  // thread get here at a time, and after Finish the reactor may be gone.
  if (next == Next::kNothing) return;
  for (const auto& [key, value] : std::exchange(metadata_, {})) {
    next == Next::kWrite ? context_->AddInitialMetadata(key, value)
                         : context_->AddTrailingMetadata(key, value);
  }
  if (next == Next::kWrite) StartWrite(&writing_);
  if (next == Next::kFinish) Finish(status);
}

void StreamReactor::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    write_in_flight_ = false;
  }
  if (ok) {
    Advance();
  } else {
    Abort(grpc::Status::CANCELLED);
  }
}

void StreamReactor::OnCancel() { Abort(grpc::Status::CANCELLED); }

void StreamReactor::OnDone() { const std::shared_ptr<StreamReactor> last = std::move(self_); }

grpc::ByteBuffer StreamReactor::Encode(const Pending& pending) const {
  if (framing_ == Framing::kGenerate) return Serialize(pending.response);
  v1::CompareResponse response;
  response.set_setting(pending.setting);
  *response.mutable_response() = pending.response;
  return Serialize(response);
}

}  // namespace varserve::rpc
