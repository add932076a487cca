#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sightline/ops/metrics.h"
#include "sightline/runtime/clock.h"
#include "sightline/serve/live/live_board.h"
#include "sightline/serve/live/live_request.h"
#include "sightline/serve/loop.h"
#include "sightline/serve/stream.h"

namespace sightline::serve {

// Brings the board's changes to the clients of one loop. A client has a version that it has seen, at most one message on its
// way, and a time before which it gets no other; what changes meanwhile waits on the board as one state, not as a queue. So a
// slow client costs nothing but itself. Clients with the same filter and rate form a channel: their messages are due on the
// same ticks and made once for all who have seen the same version.
//
// Everything but Make, the wake-up, clients() and messages() runs on the loop's thread. Borrows board, loop, clock and metrics, which
// must outlive the loop's last work.
class LiveHub final : public std::enable_shared_from_this<LiveHub> {
 public:
  static std::shared_ptr<LiveHub> Make(LiveBoard& board, Loop& loop, const runtime::Clock& clock, ops::Metrics& metrics);
  ~LiveHub();

  // Serves the stream until one of the two ends it. The pipeline is one of the board's.
  void Add(std::shared_ptr<Stream> stream, const LiveRequest& request);

  // From any thread.
  std::size_t clients() const { return client_count_.load(std::memory_order_relaxed); }
  // Messages handed to clients so far, by all hubs that share its metrics.
  std::uint64_t messages() const { return messages_->value(); }

 private:
  struct Client;
  struct Channel;
  struct Pipeline;
  class Listener;
  enum class First : std::uint8_t { kSnapshot, kResumed, kNone };

  LiveHub(LiveBoard& board, Loop& loop, const runtime::Clock& clock, ops::Metrics& metrics);
  void Wake();
  void Pump();
  void PumpPipeline(Pipeline& pipeline);
  void NoteChange(Pipeline& pipeline, const std::shared_ptr<const LiveEntry>& entry);
  Pipeline& PipelineOf(const std::string& name);
  Channel& ChannelOf(Pipeline& pipeline, const LiveRequest& request);
  void Serve(Channel& channel);
  void TrySend(const std::shared_ptr<Client>& client);
  StreamMessage MessageFor(Channel& channel, std::uint64_t from, First first);
  void Collect(const Channel& channel, std::uint64_t from, First first, std::string& json) const;
  void SendNow(Client& client, StreamMessage message);
  void ScheduleAt(std::int64_t due_ns, std::shared_ptr<Client> client);
  void ArmTimer(std::int64_t due_ns);
  void OnTimer();
  void OnQuietCheck();
  void OnSent(const std::shared_ptr<Client>& client);
  void OnClosed(const std::shared_ptr<Client>& client);

  LiveBoard& board_;
  Loop& loop_;
  const runtime::Clock& clock_;
  ops::Gauge* open_;
  ops::Counter* messages_;
  ops::Counter* bytes_;
  std::shared_ptr<void> subscription_;
  std::atomic<bool> awake_{false};
  std::map<std::string, std::unique_ptr<Pipeline>> pipelines_;
  std::unordered_map<Client*, std::shared_ptr<Client>> clients_;
  std::atomic<std::size_t> client_count_{0};
  std::map<std::int64_t, std::vector<std::shared_ptr<Client>>> due_;
  std::int64_t timer_ns_ = INT64_MAX;
  bool quiet_check_running_ = false;
  std::shared_ptr<const std::string> ping_;
};

}  // namespace sightline::serve
