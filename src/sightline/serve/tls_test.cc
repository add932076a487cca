#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "sightline/runtime/simulated/simulated_clock.h"
#include "sightline/serve/http_server.h"

namespace sightline::serve {
namespace {

// Writes a new self-signed certificate and its key.
void MakeCertificate(const std::string& certificate, const std::string& key) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
  X509_set_pubkey(x509.get(), pair.get());
  X509_NAME* name = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x509.get(), name);
  X509_sign(x509.get(), pair.get(), EVP_sha256());
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> to_certificate(std::fopen(certificate.c_str(), "w"), std::fclose);
  PEM_write_X509(to_certificate.get(), x509.get());
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> to_key(std::fopen(key.c_str(), "w"), std::fclose);
  PEM_write_PrivateKey(to_key.get(), pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

class TlsClient {
 public:
  explicit TlsClient(std::uint16_t port, int version_max = 0) : context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
    if (version_max != 0) SSL_CTX_set_max_proto_version(context_, version_max);
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ssl_ = SSL_new(context_);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    SSL_set_fd(ssl_, fd_);
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(fd_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  bool connected() const { return connected_; }
  void Send(const std::string& bytes) { SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }
  // Until the mark has been seen `times` times, or the connection ends.
  std::string ReadUntil(const std::string& mark, int times = 1) {
    std::string all;
    char raw[65536];
    while (true) {
      int seen = 0;
      for (std::size_t at = all.find(mark); at != std::string::npos; at = all.find(mark, at + 1)) ++seen;
      if (seen >= times) return all;
      const int got = SSL_read(ssl_, raw, sizeof raw);
      if (got <= 0) return all;
      all.append(raw, static_cast<std::size_t>(got));
    }
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_;
  int fd_ = -1;
  bool connected_ = false;
};

class EchoApplication final : public Application {
 public:
  Admission Admit(Request& request) override {
    Admission admission;
    admission.body_bytes_max = 8 << 20;
    if (request.path == "/live") {
      admission.handler = [](std::shared_ptr<const Request>, Responder respond) {
        Response response;
        response.status = 101;
        StreamStart start;
        start.kind = StreamStart::Kind::kWebSocket;
        start.opened = [](Loop&, std::shared_ptr<Stream> stream) {
          stream->Send({"snapshot", {}, std::make_shared<const std::string>(std::string(200'000, 'z') + "end")});
        };
        response.stream = std::move(start);
        respond(std::move(response));
      };
      return admission;
    }
    admission.handler = [](std::shared_ptr<const Request> echoed, Responder respond) {
      Response response;
      response.Set("X-Tls", echoed->tls ? "yes" : "no");
      response.body = echoed->body.view();
      respond(std::move(response));
    };
    return admission;
  }
  void Finish(const Request&, Response&) override {}
};

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "tls_" + std::to_string(::getpid());
    std::filesystem::create_directories(directory_);
    // The WebSocket client here never answers the server's goodbye.
    options_.shutdown_grace = std::chrono::milliseconds(100);
    options_.tls = TlsFiles{directory_ + "/certificate.pem", directory_ + "/key.pem"};
    MakeCertificate(options_.tls->certificate, options_.tls->key);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
  ServerOptions options_;
  runtime::SimulatedClock clock_;
  ops::Metrics metrics_;
  ops::Log log_{clock_, ops::LogLevel::kError, [](std::string_view) {}};
  EchoApplication application_;
};

TEST_F(TlsTest, RequestsAndStreams) {
  auto server = std::move(*HttpServer::Make(options_, clock_, metrics_, log_));
  server->Start(application_);
  EXPECT_TRUE(server->url().starts_with("https://"));
  TlsClient client(server->port());
  ASSERT_TRUE(client.connected());
  // Larger than a TLS record, twice on one connection.
  const std::string body(1 << 20, 'b');
  for (int i = 0; i < 2; ++i) {
    client.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size() + 3) + "\r\n\r\n" + body + "end");
    const std::string answer = client.ReadUntil("end");
    EXPECT_NE(answer.find("X-Tls: yes"), std::string::npos);
    EXPECT_GT(answer.size(), body.size());
  }
  TlsClient socket(server->port());
  socket.Send(
      "GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  const std::string stream = socket.ReadUntil("zend");
  EXPECT_NE(stream.find("101 Switching Protocols"), std::string::npos);
  EXPECT_GT(stream.size(), 200'000U);
  server->Shutdown();
}

TEST_F(TlsTest, OldVersionsAndPlainTextAreRefused) {
  auto server = std::move(*HttpServer::Make(options_, clock_, metrics_, log_));
  server->Start(application_);
  EXPECT_FALSE(TlsClient(server->port(), TLS1_1_VERSION).connected());
  EXPECT_TRUE(TlsClient(server->port(), TLS1_2_VERSION).connected());
  // A client that never begins the handshake holds its connection until the deadline only.
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  while (server->connections() == 0) std::this_thread::yield();
  while (server->connections() > 0) {
    clock_.Advance(std::chrono::seconds(11));
    server->Sweep();
  }
  ::close(fd);
  server->Shutdown();
}

TEST_F(TlsTest, FilesThatDoNotFitAreNamed) {
  ServerOptions missing = options_;
  missing.tls->certificate += ".missing";
  EXPECT_NE(HttpServer::Make(missing, clock_, metrics_, log_).error().message.find("certificate.pem.missing"), std::string::npos);
  ServerOptions other = options_;
  other.tls->key = directory_ + "/other.pem";
  MakeCertificate(directory_ + "/unused.pem", other.tls->key);
  const auto refused = HttpServer::Make(other, clock_, metrics_, log_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace sightline::serve
