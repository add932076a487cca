#pragma once

// The only door to Boost: every source that needs it includes this, and no header of ours does.
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace sightline::serve::internal {

namespace asio = boost::asio;
namespace beast = boost::beast;
using ErrorCode = boost::system::error_code;
// Concrete executors: a type-erased one would cost an allocation here and there.
using Socket = asio::basic_stream_socket<asio::ip::tcp, asio::io_context::executor_type>;

// A TCP connection with or without TLS as one type, so that Beast is instantiated once. Movable.
class AnyStream {
 public:
  using executor_type = asio::io_context::executor_type;

  explicit AnyStream(Socket socket) : core_(std::make_unique<Core>(std::move(socket))) {}
  AnyStream(Socket socket, asio::ssl::context& tls) : AnyStream(std::move(socket)) { core_->tls.emplace(core_->socket, tls); }

  executor_type get_executor() noexcept { return core_->socket.get_executor(); }
  Socket& socket() { return core_->socket; }
  bool tls() const { return core_->tls.has_value(); }

  template <typename Handler>
  void AsyncHandshake(Handler&& handler) {
    core_->tls->async_handshake(asio::ssl::stream_base::server, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_read_some(const Buffers& buffers, Handler&& handler) {
    if (core_->tls) return core_->tls->async_read_some(buffers, std::forward<Handler>(handler));
    return core_->socket.async_read_some(buffers, std::forward<Handler>(handler));
  }
  template <typename Buffers, typename Handler>
  auto async_write_some(const Buffers& buffers, Handler&& handler) {
    if (core_->tls) return core_->tls->async_write_some(buffers, std::forward<Handler>(handler));
    return core_->socket.async_write_some(buffers, std::forward<Handler>(handler));
  }
  // Ends the sending direction without waiting for the other side.
  void ShutdownSend() {
    ErrorCode ignored;
    core_->socket.shutdown(asio::socket_base::shutdown_send, ignored);
  }
  void Close() {
    ErrorCode ignored;
    core_->socket.close(ignored);
  }

 private:
  struct Core {
    explicit Core(Socket s) : socket(std::move(s)) {}
    Socket socket;
    std::optional<asio::ssl::stream<Socket&>> tls;
  };
  std::unique_ptr<Core> core_;
};

// What Beast's WebSocket asks for at the end of a connection.
inline void beast_close_socket(AnyStream& stream) { stream.Close(); }
inline void teardown(beast::role_type, AnyStream& stream, ErrorCode& error) {
  error = {};
  stream.ShutdownSend();
}
template <typename Handler>
void async_teardown(beast::role_type, AnyStream& stream, Handler&& handler) {
  stream.ShutdownSend();
  asio::post(stream.get_executor(), [handler = std::forward<Handler>(handler)]() mutable { handler(ErrorCode{}); });
}

}  // namespace sightline::serve::internal
