#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sightline::app {

// A small HTTP server for tests of the client's side: one connection at a time on a free port of the loopback, answers by a
// script. The script runs in the server's thread.
class TestingServer {
 public:
  struct Request {
    std::string method, target, body;
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string Header(const std::string& name) const;
  };
  struct Answer {
    int status = 200;
    std::string body = "{}";
    std::vector<std::pair<std::string, std::string>> headers;
    bool hang_up = false;  // closes the connection instead of answering
  };
  explicit TestingServer(std::function<Answer(const Request&)> script);
  ~TestingServer();
  TestingServer(const TestingServer&) = delete;
  TestingServer& operator=(const TestingServer&) = delete;
  std::string url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sightline::app
