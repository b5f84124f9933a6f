#include "server/http/connection.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http/error_reply.h"
#include "server/http/http_message.h"
#include "server/transport/receive_memory.h"

namespace varserve::http {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr absl::Duration kHandshakeTimeout = absl::Seconds(20);
constexpr absl::Duration kLingerTimeout = absl::Seconds(5);
constexpr uint32_t kMaxHeadBytes = 16 << 10;
constexpr size_t kReadBytes = 4096;          // of an idle connection
constexpr size_t kReadBodyBytes = 64 << 10;  // of a body
constexpr size_t kWriteBytes = 256 << 10;    // at a time
constexpr size_t kMaxAheadBytes = 64 << 10;  // of requests that wait for this one's reply

}  // namespace

Connection::Connection(std::unique_ptr<ByteStream> stream, std::string peer, const ConnectionOptions& options,
                       OnRequest on_request, std::function<void(Connection*)> on_closed)
    : stream_(std::move(stream)),
      peer_(std::move(peer)),
      options_(options),
      on_request_(std::move(on_request)),
      on_closed_(std::move(on_closed)),
      end_of_life_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options.max_age)),
      timer_(stream_->socket().get_executor()) {}

void Connection::Start() {
  SetTimeout(kHandshakeTimeout);
  stream_->Handshake([self = shared_from_this()](const auto& error, size_t /*bytes*/) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->Close();
    self->phase_ = Phase::kIdle;
    self->SetTimeout(self->options_.max_idle);
    self->Read();
  });
}

void Connection::Read() {
  if (reading_ || phase_ == Phase::kClosed) return;
  reading_ = true;
  const size_t bytes = phase_ == Phase::kBody || phase_ == Phase::kLinger ? kReadBodyBytes : kReadBytes;
  // Not into in_, which may be parsed and moved meanwhile: a client can send its next request ahead.
  if (arriving_.size() != bytes) arriving_ = std::vector<char>(bytes);
  stream_->ReadSome(asio::buffer(arriving_), [self = shared_from_this()](const auto& error, size_t read) {
    self->OnRead(error, read);
  });
}

void Connection::OnRead(const boost::system::error_code& error, size_t bytes) {
  reading_ = false;
  if (phase_ == Phase::kClosed) return;
  if (error) return Break();  // also a client that only stops sending: none of HTTP's does while it waits
  in_.commit(asio::buffer_copy(in_.prepare(bytes), asio::buffer(arriving_, bytes)));
  Process();
}

void Connection::Process() {
  switch (phase_) {
    case Phase::kIdle:
      phase_ = Phase::kHead;
      parser_.emplace();
      parser_->header_limit(kMaxHeadBytes);
      parser_->body_limit(std::numeric_limits<uint64_t>::max());  // until it is known who answers
      SetTimeout(options_.head_timeout);
      return ReadHead();
    case Phase::kHead:
      return ReadHead();
    case Phase::kBody:
      return ReadBody();
    case Phase::kReply:
      if (in_.size() < kMaxAheadBytes) Read();
      return;
    case Phase::kLinger:
      in_.consume(in_.size());
      return Read();
    default:
      return;
  }
}

bool Connection::Parse(bool (Parser::*done)() const, absl::Status* status) {
  while (!((*parser_).*done)() && in_.size() > 0) {
    boost::system::error_code error;
    in_.consume(parser_->put(in_.data(), error));
    if (error == http::error::need_more) return false;
    if (!error) continue;
    *status = error == http::error::body_limit
                  ? transport::MessageTooLarge(static_cast<int64_t>(options_.max_body_bytes))
                  : absl::InvalidArgumentError(absl::StrCat("request: is not HTTP: ", error.message()));
    return false;
  }
  return ((*parser_).*done)();
}

void Connection::ReadHead() {
  absl::Status status;
  if (!Parse(&Parser::is_header_done, &status)) return status.ok() ? Read() : RefuseHead(status);
  timer_.cancel();
  phase_ = Phase::kBody;
  parser_->eager(true);
  parser_->body_limit(options_.max_body_bytes);
  const bool waits =
      absl::EqualsIgnoreCase(std::string(parser_->get()[http::field::expect]), "100-continue") &&
      parser_->get().version() >= kHttp11;
  exchange_ = on_request_(*this, HeadOf());
  if (phase_ == Phase::kClosed) return;
  if (exchange_ == nullptr) {  // it has its reply
    phase_ = Phase::kReply;
    if (!parser_->is_done()) {
      absl::Status ignored;
      (void)Parse(&Parser::is_done, &ignored);  // what has arrived anyway
    }
    return Process();
  }
  // Later, because a request that is refused now has its reply then.
  if (waits && in_.size() == 0) Post([self = shared_from_this()] { self->WriteContinue(); });
  ReadBody();
}

void Connection::WriteContinue() {
  if (phase_ != Phase::kBody) return;
  out_.push_back(ContinueReply());
  WriteNext();
}

void Connection::ReadBody() {
  absl::Status status;
  if (!Parse(&Parser::is_done, &status)) {
    if (status.ok()) return Read();
    phase_ = Phase::kReply;
    exchange_->OnBody(status);
    return Process();
  }
  phase_ = Phase::kReply;
  exchange_->OnBody(std::move(parser_->get().body()));
  Process();
}

void Connection::RefuseHead(const absl::Status& status) {
  phase_ = Phase::kReply;
  closing_ = true;
  Write(ErrorReply(status, {.keep_alive = false}), /*last=*/true);
}

RequestHead Connection::HeadOf() const {
  const auto& request = parser_->get();
  const auto header = [&](auto name) { return std::string(request[name]); };
  const std::string target(request.target());
  RequestHead head{.method = std::string(request.method_string()),
                   .path = target.substr(0, target.find('?')),
                   .content_type = header(http::field::content_type),
                   .authorization = header(http::field::authorization),
                   .request_id = header("x-request-id"),
                   .traceparent = header("traceparent")};
  if (const auto length = parser_->content_length()) head.content_length = *length;
  return head;
}

bool Connection::keep_alive() const {
  return !closing_ && parser_.has_value() && parser_->is_done() && parser_->get().version() >= kHttp11 &&
         parser_->keep_alive() && std::chrono::steady_clock::now() < end_of_life_;
}

void Connection::Write(std::string bytes, bool last) {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kBody) phase_ = Phase::kReply;  // the rest of the request is not wanted
  if (last) closing_ = !keep_alive();
  last_written_ = last;
  out_.push_back(std::move(bytes));
  if (out_.size() == 1) return WriteNext();
  if (last) SetTimeout(options_.reply_timeout);  // for what is ahead of it
}

void Connection::WriteNext() {
  if (last_written_) SetTimeout(options_.reply_timeout);
  stream_->Write(
      asio::buffer(asio::buffer(out_.front()) + written_, kWriteBytes),
      [self = shared_from_this()](const auto& error, size_t bytes) { self->OnWrite(error, bytes); });
}

void Connection::OnWrite(const boost::system::error_code& error, size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error) return Break();
  written_ += bytes;
  if (written_ < out_.front().size()) return WriteNext();
  written_ = 0;
  out_.pop_front();
  if (!out_.empty()) return WriteNext();
  if (last_written_) return EndReply();
  if (exchange_ != nullptr && phase_ == Phase::kReply) exchange_->OnWritten();
}

void Connection::EndReply() {
  last_written_ = false;
  exchange_.reset();
  if (closing_) return Linger();
  parser_.reset();
  in_.shrink_to_fit();
  phase_ = Phase::kIdle;
  SetTimeout(options_.max_idle);
  in_.size() > 0 ? Process() : Read();
}

// Closing a socket that has unread bytes would take the reply from a client that is still sending.
void Connection::Linger() {
  phase_ = Phase::kLinger;
  SetTimeout(kLingerTimeout);
  ::shutdown(stream_->socket().native_handle(), SHUT_WR);
  in_.consume(in_.size());
  Read();
}

void Connection::SetTimeout(absl::Duration timeout) {
  timer_.expires_after(absl::ToChronoNanoseconds(timeout));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<Connection> self = weak.lock();
    if (self == nullptr || error || self->timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->Break();
  });
}

void Connection::Shutdown() {
  closing_ = true;
  if (phase_ == Phase::kIdle || phase_ == Phase::kHandshake || phase_ == Phase::kHead) return Close();
  if (phase_ == Phase::kLinger) SetTimeout(absl::Seconds(1));
}

void Connection::Break() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  if (const std::shared_ptr<Exchange> exchange = std::move(exchange_)) exchange->OnGone();
  Close();
}

void Connection::Close() {
  phase_ = Phase::kClosed;
  exchange_.reset();
  timer_.cancel();
  boost::system::error_code ignored;
  stream_->socket().close(ignored);
  if (const auto on_closed = std::exchange(on_closed_, nullptr)) on_closed(this);
}

void Connection::Post(std::function<void()> work) {
  asio::post(stream_->socket().get_executor(), std::move(work));
}

}  // namespace varserve::http
