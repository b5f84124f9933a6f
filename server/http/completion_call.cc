#include "server/http/completion_call.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/chat/reply_size.h"
#include "server/engine/retry_delay.h"
#include "server/http/error_reply.h"

namespace varserve::http {

CompletionCall::CompletionCall(Context context)
    : context_(std::move(context)), peer_(absl::StrCat("http:", context_.connection->peer())) {}

std::shared_ptr<CompletionCall> CompletionCall::Create(Context context) {
  std::shared_ptr<CompletionCall> call(new CompletionCall(std::move(context)));
  call->context_.open_calls->Add(call);
  return call;
}

CompletionCall::~CompletionCall() { context_.open_calls->Remove(this); }

void CompletionCall::ReadBody(int64_t max_bytes, OnRequest on_request) {
  on_request_ = std::move(on_request);
  hold_ = context_.open_calls->BeginMessage(this, max_bytes);
}

void CompletionCall::OnBody(absl::StatusOr<std::string> body) {
  if (on_request_ == nullptr) return;  // given up
  if (!body.ok()) return std::exchange(on_request_, nullptr)(body.status());
  const absl::Status status = context_.open_calls->CompleteMessage(hold_, static_cast<int64_t>(body->size()));
  if (!status.ok()) return std::exchange(on_request_, nullptr)(status);
  std::exchange(on_request_, nullptr)(Body{*std::move(body), std::move(hold_)});
}

void CompletionCall::SetFormat(openai::CompletionFormat format, bool stream) {
  auto reply = std::make_unique<openai::CompletionReply>(std::move(format));
  absl::MutexLock lock(&mu_);
  reply_ = std::move(reply);
  stream_ = stream;
}

void CompletionCall::Send(uint32_t setting, v1::GenerateResponse response) {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    replies_.Push(setting, std::move(response));
    if (!stream_) return;  // they wait for the end
  }
  Wake();
}

void CompletionCall::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
  }
  Wake();
}

void CompletionCall::Abort(const absl::Status& status, const absl::Status& departure) {
  std::function<void()> callback;
  {
    absl::MutexLock lock(&mu_);
    if (departure_.ok()) departure_ = departure;
    if (!cancelled_) {
      cancelled_ = true;
      replies_.Clear();
      if (!ended_) status_ = status;
      ended_ = true;
      callback = std::exchange(on_cancelled_, nullptr);
    }
  }
  if (callback) callback();
  Wake();
}

void CompletionCall::Break(absl::Duration unread) {
  const absl::Status status = absl::CancelledError(
      absl::StrCat("stream: its reader took nothing for ", absl::FormatDuration(unread)));
  Abort(status, status);
  context_.connection->Post([connection = context_.connection] { connection->Break(); });
}

void CompletionCall::OnGone() {
  {
    absl::MutexLock lock(&mu_);
    gone_ = true;
    write_in_flight_ = false;
  }
  const absl::Status departure = absl::CancelledError("request: was cancelled by its caller");
  Abort(departure, departure);
}

void CompletionCall::NotifyWhenCancelled(std::function<void()> callback) {
  {
    absl::MutexLock lock(&mu_);
    if (!cancelled_) {
      on_cancelled_ = std::move(callback);
      return;
    }
  }
  callback();
}

void CompletionCall::NotifyBeforeEnd(absl::AnyInvocable<void()> callback) {
  {
    absl::MutexLock lock(&mu_);
    if (!finished_) {
      before_end_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

absl::Status CompletionCall::departure() const {
  absl::MutexLock lock(&mu_);
  return departure_;
}

absl::Duration CompletionCall::write_age(absl::Time now) const {
  absl::MutexLock lock(&mu_);
  return write_in_flight_ ? now - write_started_ : absl::ZeroDuration();
}

void CompletionCall::Wake() {
  {
    absl::MutexLock lock(&mu_);
    if (std::exchange(woken_, true)) return;
  }
  context_.connection->Post([self = shared_from_this()] { self->Advance(); });
}

void CompletionCall::OnWritten() {
  {
    absl::MutexLock lock(&mu_);
    write_in_flight_ = false;
  }
  Advance();
}

void CompletionCall::Advance() {
  std::vector<chat::Reply> replies;
  absl::Status status;
  bool ends = false;
  bool gone = false;
  {
    absl::MutexLock lock(&mu_);
    woken_ = false;
    if (write_in_flight_ || finished_) return;
    size_t bytes = 0;
    while (!replies_.empty() && (!stream_ || bytes < chat::kMaxDeltaBytes) && (stream_ || ended_)) {
      replies.push_back(replies_.Pop());
      bytes += replies.back().bytes;
    }
    // A stream's last replies are on their way before it ends.
    ends = ended_ && (replies.empty() || !stream_);
    finished_ = ends;
    status = status_;
    gone = gone_;
  }
  if (ends) return Finish(status, gone, replies);
  if (replies.empty()) return;
  std::string events;
  if (!std::exchange(head_written_, true)) events = StreamHead(Head());
  std::string text;
  for (const chat::Reply& reply : replies) text += reply_->Events(reply);
  Write(events + StreamPiece(text), /*last=*/false);
}

void CompletionCall::Finish(const absl::Status& status, bool gone, const std::vector<chat::Reply>& rest) {
  if (on_request_ != nullptr) std::exchange(on_request_, nullptr)(status);  // given up before it had arrived
  hold_ = {};
  std::vector<absl::AnyInvocable<void()>> before_end;
  {
    absl::MutexLock lock(&mu_);
    before_end.swap(before_end_);
    on_cancelled_ = nullptr;
  }
  for (auto& callback : before_end) callback();
  context_.open_calls->Remove(this);
  if (gone) return;
  if (absl::IsUnavailable(status) || (!status.ok() && head_written_)) context_.connection->CloseAfterReply();
  Write(head_written_ ? StreamEnding(status) : WholeReply(status, rest), /*last=*/true);
}

void CompletionCall::Write(std::string bytes, bool last) {
  {
    absl::MutexLock lock(&mu_);
    write_in_flight_ = true;
    write_started_ = context_.open_calls->clock().Now();
  }
  context_.connection->Write(std::move(bytes), last);
}

ReplyHead CompletionCall::Head() const {
  return {.headers = context_.headers, .keep_alive = context_.connection->keep_alive()};
}

std::string CompletionCall::WholeReply(const absl::Status& status, const std::vector<chat::Reply>& replies) {
  ReplyHead head = Head();
  if (status.ok()) {
    for (const chat::Reply& reply : replies) reply_->Add(reply);
    return JsonReply(head, reply_->Whole());
  }
  if (const std::optional<absl::Duration> delay = engine::GetRetryDelay(status); delay.has_value()) {
    const double seconds = absl::ToDoubleSeconds(*delay);
    head.headers.emplace_back("Retry-After", absl::StrCat(static_cast<int64_t>(std::ceil(seconds))));
    head.headers.emplace_back("retry-after-ms",
                              absl::StrCat(static_cast<int64_t>(std::ceil(seconds * 1000))));
  }
  return ErrorReply(status, std::move(head));
}

std::string CompletionCall::StreamEnding(const absl::Status& status) const {
  return StreamPiece(status.ok() ? reply_->LastEvents() : openai::ErrorEvent(status)) + StreamEnd();
}

}  // namespace varserve::http
