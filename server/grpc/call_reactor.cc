#include "server/grpc/call_reactor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/grpc/status_mapping.h"

namespace varserve::rpc {
namespace {

// When a caller gives up at its deadline, the server hears of that before its own deadline, which it counts
// from when it read the call's headers: tenths of a second later on a busy machine. This is the tolerance for
// that.
absl::Duration Tolerance(absl::Duration allowed) {
  return std::min(absl::Milliseconds(100) + allowed / 10, absl::Seconds(2));
}

}  // namespace

CallReactor::CallReactor(Context context) : context_(std::move(context)), peer_(context_.call->peer()) {}

void CallReactor::ReadOne(int64_t max_bytes, OnRequest on_request) {
  Read(Requests::kOne, max_bytes, std::move(on_request));
}

void CallReactor::ReadAll(int64_t max_bytes, OnRequest on_request) {
  Read(Requests::kMany, max_bytes, std::move(on_request));
}

void CallReactor::Read(Requests requests, int64_t max_bytes, OnRequest on_request) {
  requests_ = requests;
  max_bytes_ = max_bytes;
  on_request_ = std::move(on_request);
  context_.open_calls->Add(self_);
  WantRead();
}

void CallReactor::WantRead() {
  {
    absl::MutexLock lock(&mu_);
    wants_read_ = true;
  }
  Advance();
}

void CallReactor::OnReadDone(bool ok) {
  if (!ok) {
    hold_ = {};
    const absl::Status status = EndOfRequests();
    if (!status.ok()) return HandOver(status);
    if (requests_ == Requests::kMany) return End(absl::OkStatus());
    if (only_.has_value()) return HandOver(*std::exchange(only_, std::nullopt));
    return HandOver(absl::InvalidArgumentError("request: is missing; send one message"));
  }
  if (only_.has_value()) {
    hold_ = {};
    return HandOver(absl::InvalidArgumentError("request: is more than one message; send one"));
  }
  Message message;
  message.bytes.Swap(&reading_);
  message.hold = std::move(hold_);
  const absl::Status status =
      context_.open_calls->CompleteMessage(message.hold, static_cast<int64_t>(message.bytes.Length()));
  if (!status.ok()) return HandOver(status);
  if (requests_ == Requests::kOne) {
    only_ = std::move(message);
  } else {
    on_request_(std::move(message));
  }
  WantRead();
}

void CallReactor::HandOver(absl::StatusOr<Message> last) {
  only_.reset();
  std::exchange(on_request_, nullptr)(std::move(last));
}

absl::Status CallReactor::EndOfRequests() {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return status_;
  }
  if (context_.call->IsCancelled()) OnCancel();  // OnCancel may also come later
  absl::MutexLock lock(&mu_);
  return status_;
}

void CallReactor::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
  }
  Advance();
}

void CallReactor::Abort(const absl::Status& status, const absl::Status& departure) {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mu_);
    if (departure_.ok()) departure_ = departure;
    if (!cancelled_) {
      cancelled_ = true;
      DropMessages();
      if (!ended_) status_ = status;
      ended_ = true;
      callback = std::exchange(on_cancelled_, nullptr);
    }
  }
  if (callback) callback();
  Advance();
}

void CallReactor::Break(absl::Duration unread) {
  {
    absl::MutexLock lock(&mu_);
    if (finished_ || in_use_ > 0) return;
    ++in_use_;
  }
  context_.call->TryCancel();  // without the lock: reactions may run on this thread
  const absl::Status status = absl::CancelledError(
      absl::StrCat("stream: its reader took nothing for ", absl::FormatDuration(unread)));
  Abort(status, status);
  StopUse();
}

void CallReactor::StopUse() {
  {
    absl::MutexLock lock(&mu_);
    --in_use_;
  }
  Advance();
}

void CallReactor::NotifyWhenCancelled(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mu_);
    if (!cancelled_) {
      on_cancelled_ = std::move(callback);
      return;
    }
  }
  callback();
}

void CallReactor::NotifyBeforeEnd(absl::AnyInvocable<void()> callback) {
  {
    absl::MutexLock lock(&mu_);
    if (!finished_) {
      before_end_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

absl::Status CallReactor::departure() const {
  absl::MutexLock lock(&mu_);
  return departure_;
}

absl::Duration CallReactor::write_age(absl::Time now) const {
  absl::MutexLock lock(&mu_);
  return write_in_flight_ ? now - write_started_ : absl::ZeroDuration();
}

void CallReactor::Advance() {
  enum class Next { kNothing, kWrite, kFinish, kRead } next = Next::kNothing;
  absl::Status status;
  std::function<void()> dropped;
  std::vector<absl::AnyInvocable<void()>> before_end;
  bool never_read = false;
  {
    absl::MutexLock lock(&mu_);
    if (write_in_flight_ || in_use_ > 0 || finished_) return;
    if (TakeMessage(writing_)) {
      next = Next::kWrite;
      write_in_flight_ = true;
      write_started_ = context_.open_calls->clock().Now();
    } else if (ended_) {
      next = Next::kFinish;
      finished_ = true;
      status = status_;
      never_read = std::exchange(wants_read_, false);
      dropped = std::exchange(on_cancelled_, nullptr);
      before_end.swap(before_end_);
    } else if (std::exchange(wants_read_, false)) {
      next = Next::kRead;
      ++in_use_;
    }
  }
  // Without the lock: gRPC may run a reaction on this thread before the call returns. The flags let only one
  // thread at a time get here. After Finish, the reactor may no longer exist.
  if (next == Next::kNothing) return;
  if (next == Next::kRead) {
    hold_ = context_.open_calls->BeginMessage(this, max_bytes_);
    StartRead(&reading_);
    return StopUse();
  }
  if (never_read && !status.ok()) HandOver(status);
  for (auto& callback : before_end) callback();
  for (const auto& [key, value] : std::exchange(context_.metadata, {})) {
    next == Next::kWrite ? context_.call->AddInitialMetadata(key, value)
                         : context_.call->AddTrailingMetadata(key, value);
  }
  next == Next::kWrite ? StartWrite(&writing_) : Finish(ToGrpcStatus(status));
}

void CallReactor::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    write_in_flight_ = false;
  }
  ok ? Advance() : OnCancel();
}

absl::Status CallReactor::Departure() const {
  const absl::Time latest =
      context_.deadline - Tolerance(std::max(absl::ZeroDuration(), context_.deadline - context_.arrival));
  if (context_.open_calls->clock().Now() >= latest)
    return absl::DeadlineExceededError("deadline: passed before the call had ended; give more time");
  return absl::CancelledError("request: was cancelled by its caller");
}

void CallReactor::OnCancel() {
  const absl::Status departure = Departure();
  Abort(departure, departure);
}

void CallReactor::OnDone() {
  context_.open_calls->Remove(this);
  on_request_ = nullptr;  // it may refer to this call
  const std::shared_ptr<CallReactor> last = std::move(self_);
}

}  // namespace varserve::rpc
