#include "apps/sightline/testing/server.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace sightline::app {
namespace {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
}  // namespace

struct TestingServer::Impl {
  std::function<Answer(const Request&)> script;
  asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)};
  std::mutex mutex;
  tcp::socket* open = nullptr;  // the connection being served
  bool stopping = false;
  std::thread thread;

  bool Hold(tcp::socket* socket) {
    const std::lock_guard lock(mutex);
    open = socket;
    return !stopping;
  }

  void Serve(tcp::socket& socket) {
    beast::flat_buffer buffer;
    for (;;) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(1ULL << 30);
      beast::error_code error;
      http::read(socket, buffer, parser, error);
      if (error) return;
      Request request{.method = std::string(parser.get().method_string()),
                      .target = std::string(parser.get().target()),
                      .body = parser.get().body(),
                      .headers = {}};
      for (const auto& field : parser.get()) {
        std::string name(field.name_string());
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers.emplace_back(std::move(name), std::string(field.value()));
      }
      const Answer answer = script(request);
      if (answer.hang_up) return;
      http::response<http::string_body> response(static_cast<http::status>(answer.status), 11);
      for (const auto& [name, value] : answer.headers) response.set(name, value);
      response.body() = answer.body;
      response.prepare_payload();
      http::write(socket, response, error);
      if (error) return;
    }
  }

  void Run() {
    for (;;) {
      beast::error_code error;
      tcp::socket socket(io);
      acceptor.accept(socket, error);
      if (!Hold(&socket)) return;
      if (!error) Serve(socket);
      if (!Hold(nullptr)) return;
    }
  }
};

std::string TestingServer::Request::Header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

TestingServer::TestingServer(std::function<Answer(const Request&)> script) : impl_(std::make_unique<Impl>()) {
  impl_->script = std::move(script);
  impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
}

TestingServer::~TestingServer() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    beast::error_code ignored;
    if (impl_->open != nullptr) impl_->open->shutdown(tcp::socket::shutdown_both, ignored);
  }
  // Wakes the accept, if that is where it waits.
  beast::error_code ignored;
  asio::io_context io;
  tcp::socket(io).connect(impl_->acceptor.local_endpoint(), ignored);
  impl_->thread.join();
}

std::string TestingServer::url() const { return "http://127.0.0.1:" + std::to_string(impl_->acceptor.local_endpoint().port()); }

}  // namespace sightline::app
