#include "server/http/byte_stream.h"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace varserve::http {
namespace {

namespace asio = boost::asio;

class Plain : public ByteStream {
 public:
  explicit Plain(Socket socket) : socket_(std::move(socket)) {}

  void Handshake(Handler handler) override {
    asio::post(socket_.get_executor(), [handler = std::move(handler)] { handler({}, 0); });
  }
  void ReadSome(asio::mutable_buffer buffer, Handler handler) override {
    socket_.async_read_some(buffer, std::move(handler));
  }
  void Write(asio::const_buffer bytes, Handler handler) override {
    asio::async_write(socket_, bytes, std::move(handler));
  }
  Socket& socket() override { return socket_; }

 private:
  Socket socket_;
};

class Tls : public ByteStream {
 public:
  Tls(Socket socket, std::shared_ptr<asio::ssl::context> context)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  void Handshake(Handler handler) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [handler = std::move(handler)](const auto& error) { handler(error, 0); });
  }
  void ReadSome(asio::mutable_buffer buffer, Handler handler) override {
    stream_.async_read_some(buffer, std::move(handler));
  }
  void Write(asio::const_buffer bytes, Handler handler) override {
    asio::async_write(stream_, bytes, std::move(handler));
  }
  Socket& socket() override { return stream_.next_layer(); }

 private:
  const std::shared_ptr<asio::ssl::context> context_;  // of this connection, even if a newer one is there
  asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<ByteStream> PlainStream(ByteStream::Socket socket) {
  return std::make_unique<Plain>(std::move(socket));
}

std::unique_ptr<ByteStream> TlsStream(ByteStream::Socket socket,
                                      std::shared_ptr<asio::ssl::context> context) {
  return std::make_unique<Tls>(std::move(socket), std::move(context));
}

}  // namespace varserve::http
