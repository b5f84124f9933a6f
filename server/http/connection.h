// One HTTP/1.1 connection: reads a request, hands it over, writes the reply, reads the next. While a request
// is answered it keeps reading, and so notices when its client leaves. Used by one thread but for what says
// otherwise.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/http/byte_stream.h"

namespace varserve::http {

// What a request says before its body.
struct RequestHead {
  std::string method;
  std::string path;  // without a query
  std::string content_type;
  std::string authorization;
  std::string request_id;
  std::string traceparent;
  std::optional<uint64_t> content_length;
};

// A request that is being answered. Its functions run on the connection's thread.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The request's body, or why there is none: it is not HTTP, or larger than it may be.
  virtual void OnBody(absl::StatusOr<std::string> body) = 0;
  virtual void OnWritten() = 0;  // what was given to Connection::Write
  // The client is gone, before the reply was complete. Nothing else is called afterwards.
  virtual void OnGone() = 0;
};

struct ConnectionOptions {
  uint64_t max_body_bytes = 64 << 20;
  absl::Duration head_timeout = absl::Seconds(60);  // for a request's head to arrive
  // For each piece of a reply's last part to be taken by the client's side.
  absl::Duration reply_timeout = absl::Seconds(60);
  absl::Duration max_idle = absl::Minutes(15);
  absl::Duration max_age = absl::Minutes(30);  // it takes no more requests
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Answers a request: with an exchange, which wants the body, or by writing a whole reply and returning
  // null.
  using OnRequest = std::function<std::shared_ptr<Exchange>(Connection& connection, const RequestHead& head)>;

  // `peer` is its name (transport/peer.h). `on_closed` runs once.
  Connection(std::unique_ptr<ByteStream> stream, std::string peer, const ConnectionOptions& options,
             OnRequest on_request, std::function<void(Connection*)> on_closed);

  void Start();
  // Part of the reply. After the last part the connection takes its next request, if it may.
  void Write(std::string bytes, bool last);
  // Whether another request may follow this one; to be said in the reply's head.
  bool keep_alive() const;
  void CloseAfterReply() { closing_ = true; }
  // Takes no other request. Closes at once if none is being answered.
  void Shutdown();
  // Closes at once.
  void Break();

  const std::string& peer() const { return peer_; }
  // Runs `work` on the connection's thread. Thread-safe.
  void Post(std::function<void()> work);

 private:
  enum class Phase { kHandshake, kIdle, kHead, kBody, kReply, kLinger, kClosed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void Read();
  void OnRead(const boost::system::error_code& error, size_t bytes);
  void Process();
  void ReadHead();
  void ReadBody();
  // Asks for the body of a request that is not refused.
  void WriteContinue();
  // Feeds the parser; false if it wants more, or has failed with *status.
  bool Parse(bool (Parser::*done)() const, absl::Status* status);
  void RefuseHead(const absl::Status& status);
  RequestHead HeadOf() const;
  void WriteNext();
  void OnWrite(const boost::system::error_code& error, size_t bytes);
  void EndReply();
  void Linger();
  void SetTimeout(absl::Duration timeout);
  void Close();

  const std::unique_ptr<ByteStream> stream_;
  const std::string peer_;
  const ConnectionOptions options_;
  const OnRequest on_request_;
  std::function<void(Connection*)> on_closed_;
  const std::chrono::steady_clock::time_point end_of_life_;
  boost::asio::steady_timer timer_;
  Phase phase_ = Phase::kHandshake;
  std::vector<char> arriving_;    // where a read in flight puts its bytes
  boost::beast::flat_buffer in_;  // has arrived, and is not parsed yet
  bool reading_ = false;
  std::optional<Parser> parser_;
  std::shared_ptr<Exchange> exchange_;
  std::deque<std::string> out_;  // the first is being written
  size_t written_ = 0;           // of the first
  bool last_written_ = false;    // out_ ends the reply
  bool closing_ = false;
};

}  // namespace varserve::http
