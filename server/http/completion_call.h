// The call of a chat completion: a stream of replies over HTTP, as one JSON object or as server-sent events.
// Thread-safe.
//
// A slow reader never delays the model: while a write is in flight, a queue joins the replies that follow. A
// reader that does not take a write within the time limit (transport/open_calls.h) is disconnected.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "server/chat/reply_queue.h"
#include "server/chat/response_stream.h"
#include "server/http/connection.h"
#include "server/http/http_message.h"
#include "server/openai/completion_reply.h"
#include "server/transport/open_calls.h"

namespace varserve::http {

class CompletionCall : public Exchange,
                       public chat::ResponseStream,
                       public transport::OpenCall,
                       public std::enable_shared_from_this<CompletionCall> {
 public:
  struct Context {
    std::shared_ptr<Connection> connection;
    transport::OpenCalls* open_calls = nullptr;
    std::string caller;
    std::vector<std::pair<std::string, std::string>> headers;  // of the reply
  };
  // A request's body, which counts toward the receive memory as long as `hold` lives.
  struct Body {
    std::string text;
    transport::OpenCalls::Hold hold;
  };
  using OnRequest = absl::AnyInvocable<void(absl::StatusOr<Body>)>;

  static std::shared_ptr<CompletionCall> Create(Context context);
  ~CompletionCall() override;

  // `on_request` runs once, on the connection's thread, with the body or the reason why there is none.
  void ReadBody(int64_t max_bytes, OnRequest on_request);
  // How to write the replies; before the first.
  void SetFormat(openai::CompletionFormat format, bool stream) ABSL_LOCKS_EXCLUDED(mu_);

  // chat::ResponseStream
  void Send(uint32_t setting, v1::GenerateResponse response) override ABSL_LOCKS_EXCLUDED(mu_);
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);
  void Abort(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_) {
    Abort(status, absl::OkStatus());
  }
  void NotifyWhenCancelled(std::function<void()> callback) override ABSL_LOCKS_EXCLUDED(mu_);
  void NotifyBeforeEnd(absl::AnyInvocable<void()> callback) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status departure() const override ABSL_LOCKS_EXCLUDED(mu_);

  // transport::OpenCall
  const std::string& peer() const override { return peer_; }
  const std::string& caller() const override { return context_.caller; }
  void Break(absl::Duration unread) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Duration write_age(absl::Time now) const override ABSL_LOCKS_EXCLUDED(mu_);

  // Exchange
  void OnBody(absl::StatusOr<std::string> body) override ABSL_LOCKS_EXCLUDED(mu_);
  void OnWritten() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnGone() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  explicit CompletionCall(Context context);

  void Abort(const absl::Status& status, const absl::Status& departure) ABSL_LOCKS_EXCLUDED(mu_);
  // Has the connection's thread look at what there is to do.
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);
  // On the connection's thread: writes what may be written, or ends the call.
  void Advance() ABSL_LOCKS_EXCLUDED(mu_);
  void Finish(const absl::Status& status, bool gone, const std::vector<chat::Reply>& rest);
  void Write(std::string bytes, bool last) ABSL_LOCKS_EXCLUDED(mu_);
  ReplyHead Head() const;
  std::string WholeReply(const absl::Status& status, const std::vector<chat::Reply>& replies);
  std::string StreamEnding(const absl::Status& status) const;

  const Context context_;
  const std::string peer_;

  // Used on the connection's thread; the reply also by SetFormat, before there is one.
  OnRequest on_request_;
  transport::OpenCalls::Hold hold_;
  std::unique_ptr<openai::CompletionReply> reply_;
  bool head_written_ = false;  // of a stream

  mutable absl::Mutex mu_;
  chat::ReplyQueue replies_ ABSL_GUARDED_BY(mu_);
  bool stream_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool write_in_flight_ ABSL_GUARDED_BY(mu_) = false;
  absl::Time write_started_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // nothing more may be sent
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool gone_ ABSL_GUARDED_BY(mu_) = false;      // the connection is closed
  bool finished_ ABSL_GUARDED_BY(mu_) = false;  // the last part is written, or never will be
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  absl::Status departure_ ABSL_GUARDED_BY(mu_);
  std::function<void()> on_cancelled_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::AnyInvocable<void()>> before_end_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varserve::http
