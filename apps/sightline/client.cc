#include "apps/sightline/client.h"

#include <algorithm>
#include <optional>

#include <openssl/ssl.h>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <nlohmann/json.hpp>

#include "sightline/base/text.h"

namespace sightline::app {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

struct Address {
  bool tls = false;
  std::string host;
  std::string port;
};

Result<Address> ParseUrl(std::string_view url) {
  const auto refuse = [&] {
    return Fail(ErrorKind::kInvalidArgument,
                std::string(url) + " is not the address of a server; write http://HOST:PORT or https://HOST:PORT");
  };
  Address address;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    address.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return refuse();
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty() || rest.find_first_of("/?#@") != std::string_view::npos) return refuse();
  const bool has_port =
      rest.rfind(':') != std::string_view::npos && rest.rfind(':') > (rest.rfind(']') == std::string_view::npos ? 0 : rest.rfind(']'));
  const auto endpoint = config::ParseEndpoint(has_port ? std::string(rest) : std::string(rest) + (address.tls ? ":443" : ":80"));
  if (!endpoint) return refuse();
  address.host = endpoint->host;
  address.port = std::to_string(endpoint->port);
  return address;
}

}  // namespace

std::string_view HttpResponse::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

// Every operation is asynchronous below and waited for here: only so do beast's time limits hold.
struct Client::Impl {
  Options options;
  Address address;
  asio::io_context io{1};
  asio::ssl::context tls{asio::ssl::context::tls_client};
  std::optional<beast::tcp_stream> plain;
  std::optional<beast::ssl_stream<beast::tcp_stream>> secure;
  beast::flat_buffer buffer;
  bool connected = false;
  bool fresh = false;  // nothing was answered on this connection yet
  std::chrono::milliseconds waited{0};  // the longest that the last operation might take

  beast::tcp_stream& tcp() { return secure ? beast::get_lowest_layer(*secure) : *plain; }

  template <typename Start>
  beast::error_code Wait(std::chrono::milliseconds time_max, Start start) {
    beast::error_code result = asio::error::operation_aborted;
    waited = time_max;
    tcp().expires_after(time_max);
    start([&result](const beast::error_code& error, auto...) { result = error; });
    io.restart();
    io.run();
    return result;
  }

  std::unexpected<Error> Broken(const std::string& what, const beast::error_code& error) {
    Close();
    if (error == beast::error::timeout) {
      return Fail(ErrorKind::kDeadlineExceeded, options.url + ": " + what + " took longer than " + FormatDuration(waited));
    }
    return Fail(ErrorKind::kUnavailable, options.url + ": " + what + " failed: " + error.message());
  }

  void Close() {
    connected = false;
    buffer.clear();
    beast::error_code ignored;
    if (plain || secure) tcp().socket().close(ignored);
    plain.reset();
    secure.reset();
  }

  Status Connect() {
    Close();
    if (address.tls) {
      secure.emplace(io, tls);
      // What the macro SSL_set_tlsext_host_name does, without its C cast.
      SSL_ctrl(secure->native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, address.host.data());
      secure->set_verify_callback(asio::ssl::host_name_verification(address.host));
    } else {
      plain.emplace(io);
    }
    asio::ip::tcp::resolver resolver(io);
    beast::error_code error;
    const auto endpoints = resolver.resolve(address.host, address.port, error);
    if (error) return Broken("looking up " + address.host, error);
    error = Wait(options.time_max, [&](auto done) { tcp().async_connect(endpoints, std::move(done)); });
    if (error) {
      Close();
      return Fail(ErrorKind::kUnavailable, "no server answers at " + options.url + ": " + error.message());
    }
    tcp().socket().set_option(asio::ip::tcp::no_delay(true), error);
    if (secure) {
      error = Wait(options.time_max, [&](auto done) { secure->async_handshake(asio::ssl::stream_base::client, std::move(done)); });
      if (error) return Broken("the TLS handshake (SIGHTLINE_CA_FILE names further authorities to trust)", error);
    }
    connected = true;
    fresh = true;
    return {};
  }

  Status Send(const HttpRequest& request) {
    if (!connected) SL_TRY(Connect());
    http::request<http::span_body<const char>> message(http::string_to_verb(request.method), request.target, 11);
    const bool v6 = address.host.find(':') != std::string::npos;
    message.set(http::field::host, (v6 ? "[" + address.host + "]" : address.host) + ":" + address.port);
    message.set(http::field::user_agent, "sightline");
    if (!options.token.empty()) message.set(http::field::authorization, "Bearer " + options.token);
    for (const auto& [name, value] : request.headers) message.set(name, value);
    message.body() = beast::span<const char>(request.body.data(), request.body.size());
    message.prepare_payload();
    const beast::error_code error = Wait(options.time_max, [&](auto done) {
      if (secure) {
        http::async_write(*secure, message, std::move(done));
      } else {
        http::async_write(*plain, message, std::move(done));
      }
    });
    if (error) return Broken("sending", error);
    return {};
  }

  Result<HttpResponse> Receive(std::chrono::milliseconds time_max) {
    if (!connected) return Fail(ErrorKind::kUnavailable, options.url + ": the connection is closed");
    http::response_parser<http::string_body> parser;
    parser.body_limit(options.answer_bytes_max);
    const beast::error_code error = Wait(time_max, [&](auto done) {
      if (secure) {
        http::async_read(*secure, buffer, parser, std::move(done));
      } else {
        http::async_read(*plain, buffer, parser, std::move(done));
      }
    });
    if (error) return Broken("the answer", error);
    fresh = false;
    HttpResponse response;
    response.status = static_cast<int>(parser.get().result_int());
    for (const auto& field : parser.get()) {
      std::string name(field.name_string());
      std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      response.headers.emplace_back(std::move(name), std::string(field.value()));
    }
    const bool keep = parser.get().keep_alive();
    response.body = std::move(parser.get().body());
    if (!keep) Close();
    return response;
  }
};

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
const std::string& Client::url() const { return impl_->options.url; }
Status Client::Send(const HttpRequest& request) { return impl_->Send(request); }
Result<HttpResponse> Client::Receive() { return impl_->Receive(impl_->options.time_max); }
void Client::Disconnect() { impl_->Close(); }

Result<Client> Client::Make(Options options) {
  SL_ASSIGN_OR_RETURN(Address address, ParseUrl(options.url));
  while (options.url.ends_with('/')) options.url.pop_back();
  auto impl = std::make_unique<Impl>();
  if (address.tls) {
    beast::error_code error;
    impl->tls.set_verify_mode(asio::ssl::verify_peer, error);
    impl->tls.set_default_verify_paths(error);
    if (!options.ca_file.empty()) {
      impl->tls.load_verify_file(options.ca_file, error);
      if (error) return Fail(ErrorKind::kInvalidArgument, options.ca_file + " is not a PEM file of authorities: " + error.message());
    }
  }
  impl->address = std::move(address);
  impl->options = std::move(options);
  return Client(std::move(impl));
}

Result<Client> Client::Find(const Context& context, const std::string& url) {
  Options options;
  options.url = url;
  if (context.world.environment) options.ca_file = context.world.environment("SIGHTLINE_CA_FILE").value_or("");
  SL_ASSIGN_OR_RETURN(const std::string data, context.DataDirectory());
  if (url.empty()) {
    SL_ASSIGN_OR_RETURN(const ServerInfo server, FindServer(context.world, data));
    options.url = server.url;
  }
  SL_ASSIGN_OR_RETURN(options.token, FindToken(context.world, data));
  return Make(std::move(options));
}

Result<HttpResponse> Client::Ask(const HttpRequest& request) {
  const bool kept = impl_->connected;
  const std::chrono::milliseconds time_max = request.answer_time_max.value_or(impl_->options.time_max);
  Status sent = impl_->Send(request);
  Result<HttpResponse> answer = sent ? impl_->Receive(time_max) : Result<HttpResponse>(std::unexpected(sent.error()));
  // A server may close a connection that was quiet; that nobody answered there says nothing yet.
  if (answer || !kept || answer.error().kind != ErrorKind::kUnavailable) return answer;
  SL_TRY(impl_->Send(request));
  return impl_->Receive(time_max);
}

Result<HttpResponse> Client::AskForSuccess(const HttpRequest& request) {
  SL_ASSIGN_OR_RETURN(HttpResponse response, Ask(request));
  if (response.status >= 200 && response.status < 300) return response;
  return std::unexpected(ErrorOf(response));
}

Error ErrorOf(const HttpResponse& response) {
  Error error{ErrorKind::kInternal, "the server answered " + std::to_string(response.status)};
  switch (response.status) {
    case 400:
    case 413:
    case 415:
    case 422: error.kind = ErrorKind::kInvalidArgument; break;
    case 401: error.kind = ErrorKind::kUnauthenticated; break;
    case 403: error.kind = ErrorKind::kPermissionDenied; break;
    case 404: error.kind = ErrorKind::kNotFound; break;
    case 409: error.kind = ErrorKind::kFailedPrecondition; break;
    case 429: error.kind = ErrorKind::kResourceExhausted; break;
    case 502:
    case 503: error.kind = ErrorKind::kUnavailable; break;
    case 408:
    case 504: error.kind = ErrorKind::kDeadlineExceeded; break;
    default: break;
  }
  const nlohmann::json body = nlohmann::json::parse(response.body, nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    const auto& details = body["error"];
    if (details.contains("message") && details["message"].is_string()) error.message = details["message"].get<std::string>();
    if (details.contains("request_id") && details["request_id"].is_string() && !details["request_id"].get<std::string>().empty())
      error.message += " (request " + details["request_id"].get<std::string>() + ")";
  }
  if (response.status == 401) error.message += "; set SIGHTLINE_TOKEN, or name the server's directory by --data";
  return error;
}

}  // namespace sightline::app
