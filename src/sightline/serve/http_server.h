#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/ops/log.h"
#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"
#include "sightline/serve/http.h"
#include "sightline/serve/loop.h"

namespace sightline::serve {

struct TlsFiles {
  std::string certificate;  // PEM, with its chain
  std::string key;          // PEM
};

struct ServerOptions {
  std::string name = "http";       // in metrics and logs
  std::string host = "127.0.0.1";  // an address, or localhost
  std::uint16_t port = 0;          // 0: any free one
  std::optional<TlsFiles> tls;     // demanded for addresses other than loopback
  int loops = 2;                   // threads that serve connections
  int workers = 4;                 // threads for handlers that may block
  std::uint32_t queue_max = 256;   // requests that wait for a worker; more are answered 503

  std::uint32_t header_bytes_max = 16 << 10;        // request line and fields
  std::uint64_t body_bytes_in_flight_max = 512U << 20;  // bodies of all requests together; more are answered 429
  std::uint32_t connections_max = 20'000;
  std::uint32_t connections_max_per_address = 0;    // 0: no bound

  std::chrono::milliseconds header_timeout = std::chrono::seconds(10);      // from the first byte to the last of a header
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);        // between requests
  std::chrono::milliseconds body_idle_timeout = std::chrono::seconds(15);   // without a byte of the body
  std::chrono::milliseconds body_grace = std::chrono::seconds(30);          // after that the body must have come at ...
  std::uint32_t body_bytes_per_second_min = 4 << 10;                        // ... this rate on average
  std::chrono::milliseconds write_timeout = std::chrono::seconds(30);       // without the client taking a byte
  std::chrono::milliseconds stream_ping_after = std::chrono::seconds(30);   // without a sign of life from a WebSocket client
  std::chrono::milliseconds stream_dead_after = std::chrono::seconds(90);
  std::chrono::milliseconds shutdown_grace = std::chrono::seconds(10);      // for requests in flight

  // Gives a client so long for a header, for a body before its rate counts, and for taking some of an answer. What is shorter for
  // a header or a silent body stays.
  void BoundTimes(std::chrono::milliseconds time_max);
};

// An HTTP/1.1 server: connections are spread over loops of one thread each, requests of a connection are answered one after
// the other in their order. Time-outs are deadlines that a sweep compares with the clock, a few times a second, so that tests
// can move the clock. Owns its threads; borrows the application, clock and metrics, which must outlive it. Thread-safe.
class HttpServer {
 public:
  // Binds and listens, so that errors (kFailedPrecondition for a port in use) come early; nothing is accepted before Start.
  static Result<std::unique_ptr<HttpServer>> Make(ServerOptions options, const runtime::Clock& clock, ops::Metrics& metrics,
                                                  const ops::Log& log);
  virtual ~HttpServer() = default;

  virtual void Start(Application& application) = 0;
  // For whatever lives on the loops, such as live hubs; may be used before Start.
  virtual std::vector<Loop*> loops() = 0;
  virtual std::uint16_t port() const = 0;
  // "http://127.0.0.1:8080"
  virtual std::string url() const = 0;
  // Stops accepting, lets requests in flight finish within the grace period, closes streams, then joins the threads.
  // Idempotent; the destructor calls it.
  virtual void Shutdown() = 0;
  // Compares all deadlines with the clock now, and returns when that is done.
  virtual void Sweep() = 0;
  virtual std::size_t connections() const = 0;
};

}  // namespace sightline::serve
