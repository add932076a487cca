#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sightline::bench {

// Where the server is and how to be let in.
struct Server {
  std::string host;
  int port = 0;
  std::string token;
};

// A blocking HTTP/1.1 connection that stays open from request to request. Throws std::runtime_error when the server goes away or answers
// what no client expects: a load generator has no other way on. Not thread-safe.
class Connection {
 public:
  // `receive_bytes`: size of the socket's receive buffer; 0 leaves it as it is.
  explicit Connection(const Server& server, int receive_bytes = 0);
  Connection(Connection&& other) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Offers NDJSON to a dataset until it is taken: a server that is busy (429, 503) is asked again, and `busy` counts it.
  void Post(std::string_view dataset, std::string_view lines);
  // Asks for a WebSocket; what came behind the answer's head stays for Read.
  void Upgrade(const std::string& target);
  // Reads what is there, at most once; 0 when nothing is. With Wait::kYes it waits for something.
  enum class Wait { kNo, kYes };
  std::size_t Read(std::string& into, Wait wait);
  void Send(std::string_view bytes);
  int descriptor() const { return descriptor_; }
  std::uint64_t busy() const { return busy_; }

 private:
  struct Answer {
    int status = 0;
    std::string head;
    std::string body;
  };
  void Open();
  std::string ReadHead();
  Answer ReadAnswer();

  const Server* server_;
  int receive_bytes_ = 0;
  int descriptor_ = -1;
  std::uint64_t busy_ = 0;
  std::string buffer_;  // read and not yet used
  std::vector<char> chunk_;
};

// Lifts the limit on open files to what this process may have.
void RaiseDescriptorLimit();

}  // namespace sightline::bench
