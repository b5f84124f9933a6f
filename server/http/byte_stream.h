// The bytes of a connection, with or without TLS. One read and one write may be in progress. Used by one
// thread, which also runs the handlers.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cstddef>
#include <functional>
#include <memory>

namespace varserve::http {

class ByteStream {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Handler = std::function<void(const boost::system::error_code& error, size_t bytes)>;

  virtual ~ByteStream() = default;

  virtual void Handshake(Handler handler) = 0;
  virtual void ReadSome(boost::asio::mutable_buffer buffer, Handler handler) = 0;
  // The bytes must live until the handler runs.
  virtual void Write(boost::asio::const_buffer bytes, Handler handler) = 0;
  virtual Socket& socket() = 0;
};

std::unique_ptr<ByteStream> PlainStream(ByteStream::Socket socket);
std::unique_ptr<ByteStream> TlsStream(ByteStream::Socket socket,
                                      std::shared_ptr<boost::asio::ssl::context> context);

}  // namespace varserve::http
