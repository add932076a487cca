// A bare HTTP client that does what the S3 figure does: one blocking socket a thread, requests that were signed before the clock runs, and
// nothing but bytes while it runs. The same arguments, environment and output as objects_s3.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <exception>

#include "bench/stages/objects_load.h"

namespace sightline::bench {
namespace {

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(byte));
    text += two;
  }
  return text;
}

std::string Sha256(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<char*>(digest), size};
}

std::string Hmac(const std::string& key, const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest,
       &size);
  return {reinterpret_cast<char*>(digest), size};
}

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

Address AddressOf(const std::string& endpoint) {
  constexpr std::string_view kScheme = "http://";
  const std::size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon < kScheme.size()) throw std::runtime_error(endpoint + " is not http://HOST:PORT");
  return {endpoint.substr(kScheme.size(), colon - kScheme.size()), static_cast<std::uint16_t>(std::stoi(endpoint.substr(colon + 1)))};
}

// Head of a request with its signature (AWS Signature Version 4).
std::string SignedHead(const std::string& method, const std::string& path, const std::string& host, std::string_view body) {
  const char* access = std::getenv("AWS_ACCESS_KEY_ID");
  const char* secret = std::getenv("AWS_SECRET_ACCESS_KEY");
  if (access == nullptr || secret == nullptr) throw std::runtime_error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &utc);
  const std::string date(time, 8);
  const std::string digest = Hex(Sha256(body));
  const std::string scope = date + "/us-east-1/s3/aws4_request";
  const std::string names = "host;x-amz-content-sha256;x-amz-date";
  const std::string canonical = method + "\n" + path + "\n\nhost:" + host + "\nx-amz-content-sha256:" + digest + "\nx-amz-date:" + time +
                                "\n\n" + names + "\n" + digest;
  const std::string to_sign = std::string("AWS4-HMAC-SHA256\n") + time + "\n" + scope + "\n" + Hex(Sha256(canonical));
  const std::string key = Hmac(Hmac(Hmac(Hmac(std::string("AWS4") + secret, date), "us-east-1"), "s3"), "aws4_request");
  return method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nx-amz-date: " + time + "\r\nx-amz-content-sha256: " + digest + "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + access +
         "/" + scope + ", SignedHeaders=" + names + ", Signature=" + Hex(Hmac(key, to_sign)) + "\r\n\r\n";
}

// A connection that is kept open; one thread's.
class Connection {
 public:
  explicit Connection(const Address& address) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("cannot connect");
    buffer_.resize(256U << 10);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::close(socket_); }

  // The body of the answer; valid until the next call.
  std::string_view Call(const std::string& head, std::string_view body) {
    Send(head);
    Send(body);
    std::size_t have = 0, end = std::string::npos;
    while (end == std::string::npos) {
      have += Receive(have);
      end = std::string_view(buffer_.data(), have).find("\r\n\r\n");
    }
    const std::string_view answer(buffer_.data(), end + 2);
    if (!answer.starts_with("HTTP/1.1 200")) throw std::runtime_error(std::string(answer.substr(0, 200)));
    std::size_t at = answer.find("Content-Length: ");
    if (at == std::string_view::npos) at = answer.find("content-length: ");
    const std::size_t length = at == std::string_view::npos ? 0 : std::stoull(std::string(answer.substr(at + 16, 12)));
    if (end + 4 + length > buffer_.size()) buffer_.resize(end + 4 + length);
    while (have < end + 4 + length) have += Receive(have);
    return {buffer_.data() + end + 4, length};
  }

 private:
  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("the connection broke");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  std::size_t Receive(std::size_t at) {
    const ssize_t got = ::recv(socket_, buffer_.data() + at, buffer_.size() - at, 0);
    if (got <= 0) throw std::runtime_error("the connection broke");
    return static_cast<std::size_t>(got);
  }
  int socket_;
  std::string buffer_;
};

int Run(int argc, char** argv) {
  const ObjectsLoad load = ObjectsLoad::Parse(argc, argv);
  const Address address = AddressOf(load.endpoint);
  const std::string host = address.host + ":" + std::to_string(address.port);
  std::vector<std::string> puts, gets;
  for (std::size_t i = 0; i < load.objects; ++i) {
    const std::string path = "/" + load.bucket + "/" + load.KeyOf(i);
    puts.push_back(SignedHead("PUT", path, host, load.BytesOf(i)));
    gets.push_back(SignedHead("GET", path, host, ""));
  }
  const auto connection = [&]() -> Connection& {
    thread_local Connection mine(address);
    return mine;
  };
  const auto put = [&](std::size_t i) { connection().Call(puts[i], load.BytesOf(i)); };
  const auto get = [&](std::size_t i) {
    if (connection().Call(gets[i], "") != load.BytesOf(i)) throw std::runtime_error(load.KeyOf(i) + " came back with other bytes");
  };
  load.Measure(put, get);
  return 0;
}

}  // namespace
}  // namespace sightline::bench

int main(int argc, char** argv) {
  try {
    return sightline::bench::Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bare_http_s3: %s\n", error.what());
    return 1;
  }
}
