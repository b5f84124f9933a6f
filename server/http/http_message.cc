#include "server/http/http_message.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>
namespace varserve::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

template <typename Message>
void SetHead(const ReplyHead& head, Message& message) {
  message.version(kHttp11);
  message.result(static_cast<unsigned>(head.status));
  for (const auto& [name, value] : head.headers) message.set(name, value);
  message.keep_alive(head.keep_alive);
}

template <typename Message>
std::string Written(const Message& message) {
  std::ostringstream out;
  out << message;
  return std::move(out).str();
}

}  // namespace

std::string JsonReply(const ReplyHead& head, std::string body) {
  beast::http::response<beast::http::string_body> message;
  SetHead(head, message);
  message.set(beast::http::field::content_type, "application/json");
  message.body() = std::move(body);
  message.prepare_payload();
  return Written(message);
}

std::string StreamHead(const ReplyHead& head) {
  beast::http::response<beast::http::empty_body> message;
  SetHead(head, message);
  message.set(beast::http::field::content_type, "text/event-stream; charset=utf-8");
  message.set(beast::http::field::cache_control, "no-cache");
  message.set("X-Accel-Buffering", "no");  // proxies that collect replies must not
  message.chunked(true);
  return Written(message.base());
}

std::string StreamPiece(absl::string_view text) {
  return beast::buffers_to_string(beast::http::make_chunk(asio::buffer(text.data(), text.size())));
}

std::string StreamEnd() { return beast::buffers_to_string(beast::http::make_chunk_last()); }

std::string ContinueReply() {
  beast::http::response<beast::http::empty_body> message;
  message.version(kHttp11);
  message.result(beast::http::status::continue_);
  return Written(message);
}

}  // namespace varserve::http
