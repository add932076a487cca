#include "sightline/vision/http_transport.h"

#include <charconv>
#include <optional>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/version.hpp>

#include "sightline/base/text.h"

namespace sightline::vision {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t kAnswerBytesMax = 1 << 20;

std::optional<std::chrono::milliseconds> RetryAfter(const http::response<http::string_body>& response) {
  const auto text = response[http::field::retry_after];
  const auto seconds = ParseInt64(std::string_view(text.data(), text.size()));
  if (!seconds || *seconds < 0 || *seconds > 3600) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

}  // namespace

Result<EventUrl> EventUrl::Parse(const std::string& text) {
  const auto bad = [&](std::string_view why) {
    return Fail(ErrorKind::kInvalidArgument, "--to " + text + ": " + std::string(why) + "; expected http://HOST:PORT or https://HOST:PORT");
  };
  EventUrl url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("not an http or https address");
  }
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  url.path = slash == std::string_view::npos ? "" : std::string(rest.substr(slash));
  if (url.path.empty() || url.path == "/") url.path = "/v1/datasets/camera_events/events";
  if (url.path.find_first_of(" \r\n\t#") != std::string::npos) return bad("the path has a blank or # in it");
  if (authority.find('@') != std::string_view::npos) return bad("a password does not belong into the address, use SIGHTLINE_TOKEN");
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("the bracket of the IPv6 address is not closed");
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    url.host = std::string(authority.substr(0, authority.find(':')));
    port = authority.substr(url.host.size());
  }
  if (url.host.empty()) return bad("the host is missing");
  if (port.empty()) {
    url.port = url.tls ? "443" : "80";
    return url;
  }
  const auto number = ParseInt64(port.substr(1));
  if (port[0] != ':' || !number || *number < 1 || *number > 65535) return bad("the port is not a number from 1 to 65535");
  url.port = std::to_string(*number);
  return url;
}

bool EventUrl::loopback() const {
  if (host == "localhost") return true;
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

struct HttpTransport::Impl {
  using Plain = beast::tcp_stream;
  using Tls = beast::ssl_stream<beast::tcp_stream>;

  explicit Impl(HttpTransportOptions o) : options(std::move(o)) {}

  Status SetUpTls() {
    error_code error;
    if (options.ca_file.empty()) {
      context.set_default_verify_paths(error);
    } else {
      context.load_verify_file(options.ca_file, error);
    }
    if (error) return Fail(ErrorKind::kInvalidArgument, "certificate authorities " + options.ca_file + ": " + error.message());
    context.set_verify_mode(asio::ssl::verify_peer, error);
    return {};
  }

  // Runs what was started on the stream until it is done. Time-outs only hold for asynchronous operations.
  void Finish() {
    io.restart();
    io.run();
  }

  Plain& socket() { return tls ? beast::get_lowest_layer(*tls) : *plain; }

  error_code Connect() {
    error_code result;
    asio::ip::tcp::resolver resolver(io);
    const auto places = resolver.resolve(options.url.host, options.url.port, result);
    if (result) return result;
    if (options.url.tls) {
      tls.emplace(io, context);
      // The name by which the server chooses its certificate (SSL_set_tlsext_host_name, which is a macro with casts), and the one that the
      // certificate is checked against.
      ::SSL_ctrl(tls->native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, options.url.host.data());
      tls->set_verify_callback(asio::ssl::host_name_verification(options.url.host), result);
    } else {
      plain.emplace(io);
    }
    socket().expires_after(options.timeout);
    socket().async_connect(places, [&](error_code e, const asio::ip::tcp::endpoint&) { result = e; });
    Finish();
    if (result || !tls) return result;
    tls->async_handshake(asio::ssl::stream_base::client, [&](error_code e) { result = e; });
    Finish();
    return result;
  }

  template <typename Stream>
  error_code Exchange(Stream& stream, const http::request<http::string_body>& request, http::response<http::string_body>& response) {
    error_code result;
    socket().expires_after(options.timeout);
    http::async_write(stream, request, [&](error_code e, std::size_t) { result = e; });
    Finish();
    if (result) return result;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    beast::flat_buffer buffer;
    http::async_read(stream, buffer, parser, [&](error_code e, std::size_t) { result = e; });
    Finish();
    if (result) return result;
    response = parser.release();
    return result;
  }

  bool connected() const { return plain || tls; }
  void Disconnect() {
    plain.reset();
    tls.reset();
  }

  HttpTransportOptions options;
  asio::io_context io;
  asio::ssl::context context{asio::ssl::context::tls_client};
  std::optional<Plain> plain;
  std::optional<Tls> tls;
};

HttpTransport::HttpTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpTransport::~HttpTransport() = default;

Result<std::unique_ptr<HttpTransport>> HttpTransport::Make(HttpTransportOptions options) {
  SL_ASSIGN_OR_RETURN(const std::string token, options.token());
  if (!token.empty() && !options.url.tls && !options.url.loopback()) {
    return Fail(ErrorKind::kInvalidArgument, "the token would go to " + options.url.host + " unencrypted: use https");
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  if (impl->options.url.tls) SL_TRY(impl->SetUpTls());
  return std::unique_ptr<HttpTransport>(new HttpTransport(std::move(impl)));
}

Result<EventTransport::Answer> HttpTransport::Post(std::string_view ndjson, std::string_view idempotency_key) {
  const EventUrl& url = impl_->options.url;
  const std::string place = (url.tls ? "https://" : "http://") + url.host + ":" + url.port;
  SL_ASSIGN_OR_RETURN(const std::string token, impl_->options.token());

  http::request<http::string_body> request(http::verb::post, url.path, 11);
  request.set(http::field::host, url.host + ":" + url.port);
  request.set(http::field::user_agent, "sightline-camera");
  request.set(http::field::content_type, "application/x-ndjson");
  request.set("Idempotency-Key", std::string(idempotency_key));
  if (!token.empty()) request.set(http::field::authorization, "Bearer " + token);
  request.body() = std::string(ndjson);
  request.prepare_payload();

  // A kept-alive connection may have been closed by the server meanwhile: that costs one silent second attempt, on a new connection.
  bool kept_alive = impl_->connected();
  while (true) {
    if (!impl_->connected()) {
      if (const error_code error = impl_->Connect()) {
        impl_->Disconnect();
        return Fail(ErrorKind::kUnavailable, "cannot connect to " + place + ": " + error.message());
      }
    }
    http::response<http::string_body> response;
    const error_code error =
        impl_->tls ? impl_->Exchange(*impl_->tls, request, response) : impl_->Exchange(*impl_->plain, request, response);
    if (!error) {
      if (!response.keep_alive()) impl_->Disconnect();
      return Answer{
          .status = static_cast<int>(response.result_int()), .retry_after = RetryAfter(response), .body = std::move(response.body())};
    }
    impl_->Disconnect();
    if (!std::exchange(kept_alive, false)) return Fail(ErrorKind::kUnavailable, place + " did not answer: " + error.message());
  }
}

}  // namespace sightline::vision
