#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace sightline::flink::testing {

// What a service was asked.
struct Asked {
  std::string method;
  std::string target;
  std::string body;
  std::string authorization;
};
struct Answered {
  int status = 200;
  std::string body = "{}";
};

// An HTTP service on a free port of loopback that answers as a test says, one request at a time, each over its own connection.
class FakeService {
 public:
  using Handler = std::function<Answered(const Asked& asked)>;
  explicit FakeService(Handler handler);
  ~FakeService();
  FakeService(const FakeService&) = delete;
  FakeService& operator=(const FakeService&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  const std::vector<Asked>& asked() const { return asked_; }

 private:
  void Run();

  Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::vector<Asked> asked_;
  std::thread thread_;
};

}  // namespace sightline::flink::testing
