#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sightline::serve::testing {

// An answer as it came over the wire.
struct RawResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::string Header(std::string_view name) const;
};

// A TCP client that sends exactly what it is told to, for tests of what a well-behaved client would never send. Blocking, with
// a time limit on each wait that is only ever reached when a test fails. Not thread-safe.
class RawClient {
 public:
  // `receive_buffer`: bytes the kernel takes for a client that does not read; 0 for its own choice.
  explicit RawClient(std::uint16_t port, int receive_buffer = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  // False when the other side does not take it.
  bool Send(std::string_view bytes);
  // The next answer, with the body that Content-Length announces; nothing when the connection ends first.
  std::optional<RawResponse> Receive(bool head = false);
  // The header of an answer alone, as for a stream.
  std::optional<RawResponse> ReceiveHead();
  // At least `size` bytes in all that were received and not taken yet; fewer when the connection ends.
  std::string_view Peek(std::size_t size);
  std::string Take(std::size_t size);
  // Up to and with the mark; nothing when the connection ends first.
  std::optional<std::string> TakeUntil(std::string_view mark);
  // Waits for the other side to close or reset; false if it sends something instead, or not in time.
  bool Closed();
  void CloseSending();

  // WebSocket, after the upgrade: masks and sends a frame; receives the payload of the next text frame, answering nothing.
  bool SendFrame(int opcode, std::string_view payload);
  struct Frame {
    int opcode = 0;
    std::string payload;
  };
  std::optional<Frame> ReceiveFrame();
  // Sends the upgrade request; the answer's status.
  int Upgrade(std::string_view target, std::string_view headers);

 private:
  bool Fill();
  int fd_ = -1;
  std::string in_;
};

}  // namespace sightline::serve::testing
