#include "connectors/flink/http.h"

#include <curl/curl.h>

#include <nlohmann/json.hpp>

namespace sightline::flink {
namespace {

using nlohmann::json;

constexpr std::size_t kAnswerBytesMax = 64ULL << 20;
constexpr std::size_t kMessageMax = 1500;

std::size_t Append(char* bytes, std::size_t size, std::size_t count, void* to) {
  auto* body = static_cast<std::string*>(to);
  if (body->size() + size * count > kAnswerBytesMax) return 0;
  body->append(bytes, size * count);
  return size * count;
}

struct FreeHeaders {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

bool IsLoopback(const std::string& url) {
  const std::string_view host = std::string_view(url).substr(url.find("//") + 2);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

// The last exception of Flink's chain says what was wrong; those around it only pass it on.
std::string SaidBy(const json& answer) {
  std::string said;
  if (answer.is_object() && answer.contains("errors") && answer["errors"].is_array()) {
    for (const json& error : answer["errors"]) {
      if (error.is_string()) said = error.get<std::string>();
    }
  } else if (answer.is_object() && answer.contains("message") && answer["message"].is_string()) {
    said = answer["message"].get<std::string>();
  }
  if (const std::size_t cause = said.rfind("Caused by: "); cause != std::string::npos) said = said.substr(cause + 11);
  if (const std::size_t frames = said.find("\n\tat "); frames != std::string::npos) said.resize(frames);
  if (said.size() > kMessageMax) said.resize(kMessageMax);
  return said;
}

}  // namespace

struct Http::Connection {
  CURL* curl = curl_easy_init();
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { curl_easy_cleanup(curl); }
};

Http::Http(std::string what, HttpOptions options)
    : what_(std::move(what)), options_(std::move(options)), connection_(std::make_unique<Connection>()) {}
Http::~Http() = default;

Result<std::unique_ptr<Http>> Http::Make(std::string what, HttpOptions options) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) return Fail(ErrorKind::kInternal, "libcurl cannot be used");
  while (options.url.ends_with('/')) options.url.pop_back();
  const bool tls = options.url.starts_with("https://");
  if (!tls && !options.url.starts_with("http://")) {
    return Fail(ErrorKind::kInvalidArgument,
                "\"" + options.url + "\" is no address of " + what + "; write http://HOST:PORT or https://HOST:PORT");
  }
  if (!tls && !options.token.empty() && !IsLoopback(options.url)) {
    return Fail(ErrorKind::kInvalidArgument, "the token of " + what + " would go to " + options.url + " in clear; write https://");
  }
  std::unique_ptr<Http> client(new Http(std::move(what), std::move(options)));
  if (client->connection_->curl == nullptr) return Fail(ErrorKind::kResourceExhausted, "no HTTP client can be made");
  return client;
}

Result<json> Http::Call(const char* method, const std::string& path, const std::string* body) {
  const std::lock_guard lock(mutex_);
  CURL* const curl = connection_->curl;
  curl_easy_reset(curl);
  const std::string url = options_.url + path;
  std::string received;
  char text[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // the token goes where it was meant to go
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
  if (!options_.ca.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca.c_str());
  std::unique_ptr<curl_slist, FreeHeaders> headers(curl_slist_append(nullptr, "Accept: application/json"));
  if (!options_.token.empty()) {
    headers.reset(curl_slist_append(headers.release(), ("Authorization: Bearer " + options_.token).c_str()));
  }
  if (body != nullptr) {
    headers.reset(curl_slist_append(headers.release(), "Content-Type: application/json"));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  const auto asked = std::chrono::steady_clock::now();
  const CURLcode code = curl_easy_perform(curl);
  if (options_.waited_ns != nullptr) *options_.waited_ns += (std::chrono::steady_clock::now() - asked).count();
  const std::string where = what_ + " at " + options_.url;
  if (code != CURLE_OK) {
    const std::string why = where + ": " + (text[0] != '\0' ? text : curl_easy_strerror(code));
    switch (code) {
      case CURLE_PEER_FAILED_VERIFICATION:
        return Fail(ErrorKind::kUnauthenticated, why + "; check drivers.flink.ca and the certificate's names and dates");
      case CURLE_SSL_CACERT_BADFILE: return Fail(ErrorKind::kInvalidArgument, why + "; check drivers.flink.ca");
      default: return Fail(ErrorKind::kUnavailable, why + "; check that it runs, its address, and the network between");
    }
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  json answer = json::parse(received, nullptr, false);
  if (status >= 200 && status < 300) return answer;
  const std::string said = SaidBy(answer);
  const std::string message = where + ", " + method + " " + path + ": HTTP " + std::to_string(status) + (said.empty() ? "" : ", " + said);
  switch (status) {
    case 401: return Fail(ErrorKind::kUnauthenticated, message + "; check drivers.flink.token");
    case 403: return Fail(ErrorKind::kPermissionDenied, message + "; the token's holder may not do this");
    case 404: return Fail(ErrorKind::kNotFound, message);
    case 429:
    case 502:
    case 503:
    case 504: return Fail(ErrorKind::kUnavailable, message);
    default: return Fail(status >= 500 ? ErrorKind::kInternal : ErrorKind::kInvalidArgument, message);
  }
}

Result<json> Http::Get(const std::string& path) { return Call("GET", path, nullptr); }
Result<json> Http::Post(const std::string& path, const json& body) {
  const std::string bytes = body.dump();
  return Call("POST", path, &bytes);
}
Status Http::Delete(const std::string& path) {
  SL_TRY(Call("DELETE", path, nullptr));
  return {};
}
Status Http::Patch(const std::string& path) {
  SL_TRY(Call("PATCH", path, nullptr));
  return {};
}

}  // namespace sightline::flink
