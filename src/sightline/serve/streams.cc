#include <boost/asio/buffers_iterator.hpp>
#include <boost/beast/http/error.hpp>

#include <array>
#include <deque>

#include "sightline/serve/server_internal.h"

namespace sightline::serve::internal {
namespace {

namespace websocket = beast::websocket;

constexpr std::size_t kClientMessageMax = 4 << 10;
constexpr std::size_t kTcpBuffer = 256 << 10;

// What both kinds of stream share: registration, deadlines, the listener.
class StreamSession : public Session, public Stream {
 public:
  StreamSession(std::shared_ptr<ServerState> state, LoopThread& loop, std::string remote, StreamStart start)
      : state_(std::move(state)), loop_(loop), remote_(std::move(remote)), start_(std::move(start)) {}
  ~StreamSession() override { ReleaseCount(); }

  void SetListener(std::shared_ptr<StreamListener> listener) override { listener_ = std::move(listener); }
  void Stop() override { Close("the server is stopping"); }
  void Kill() override { Finish(); }

 protected:
  virtual void CloseSocket() = 0;

  void SetWriteDeadline() { write_deadline_ns_ = state_->clock.MonotonicNs() + Ns(state_->options.write_timeout); }
  void ClearWriteDeadline() { write_deadline_ns_ = kNever; }
  bool TooSlow(std::int64_t now_ns) const { return now_ns >= write_deadline_ns_; }

  // Idempotent. The listener hears of it once.
  void Finish() {
    if (std::exchange(finished_, true)) return;
    CloseSocket();
    ReleaseCount();
    loop_.Remove(this);
    if (const auto listener = std::exchange(listener_, nullptr)) listener->OnClosed();
  }
  void Sent(std::size_t bytes) {
    state_->bytes_out->Add(bytes);
    ClearWriteDeadline();
    if (const auto listener = listener_) listener->OnSent();
  }
  void ReleaseCount() {
    if (std::exchange(counted_, false)) state_->Release(remote_);
  }

  const std::shared_ptr<ServerState> state_;
  LoopThread& loop_;
  const std::string remote_;
  StreamStart start_;
  std::shared_ptr<StreamListener> listener_;
  bool finished_ = false;

 private:
  bool counted_ = true;
  std::int64_t write_deadline_ns_ = kNever;
};

class WebSocketStream final : public StreamSession, public std::enable_shared_from_this<WebSocketStream> {
 public:
  WebSocketStream(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote, StreamStart start)
      : StreamSession(state, loop, std::move(remote), std::move(start)), socket_(std::move(stream)) {}

  void Accept(UpgradeRequest request, const std::string& extra_headers) {
    socket_.read_message_max(kClientMessageMax);
    socket_.auto_fragment(false);
    socket_.write_buffer_bytes(64);  // a server does not mask, so that messages go out from where they are
    socket_.set_option(websocket::stream_base::decorator([extra_headers](websocket::response_type& response) {
      std::string_view rest = extra_headers;
      while (!rest.empty()) {
        const auto name_end = rest.find('\n');
        const auto value_end = rest.find('\n', name_end + 1);
        const auto name = rest.substr(0, name_end);
        const auto value = rest.substr(name_end + 1, value_end - name_end - 1);
        response.set(beast::string_view(name.data(), name.size()), beast::string_view(value.data(), value.size()));
        rest.remove_prefix(value_end + 1);
      }
    }));
    // Any frame is a sign of life. The stream outlives the callback, which it owns.
    socket_.control_callback([this](websocket::frame_type, beast::string_view) { Heard(); });
    Heard();
    SetWriteDeadline();
    request_ = std::move(request);
    socket_.async_accept(request_, [self = shared_from_this()](ErrorCode error) {
      if (self->finished_) return;
      self->request_ = {};
      if (error) return self->Finish();
      self->ClearWriteDeadline();
      self->Opened();
    });
  }

  void Send(StreamMessage message) override {
    if (finished_ || closing_) return;
    sending_ = std::move(message.json);
    SetWriteDeadline();
    socket_.async_write(asio::const_buffer(sending_->data(), sending_->size()),
                        [self = shared_from_this()](ErrorCode error, std::size_t size) {
                          if (self->finished_) return;
                          if (error) return self->Finish();
                          self->sending_ = nullptr;
                          if (self->closing_) return self->StartClose();
                          self->Sent(size);
                        });
  }

  void Close(std::string_view reason) override {
    if (finished_ || closing_) return;
    closing_ = true;
    reason_ = websocket::close_reason(websocket::close_code::going_away, beast::string_view(reason.data(), reason.size()));
    if (sending_ == nullptr && opened_) StartClose();
    if (!opened_) Finish();
  }

  void Sweep(std::int64_t now_ns) override {
    if (finished_) return;
    const bool dead = now_ns - heard_ns_ >= Ns(state_->options.stream_dead_after);
    if (dead || TooSlow(now_ns)) {
      state_->timed_out->Add();
      return Finish();
    }
    if (!opened_ || pinging_ || closing_ || now_ns - heard_ns_ < Ns(state_->options.stream_ping_after)) return;
    pinging_ = true;
    socket_.async_ping({}, [self = shared_from_this()](ErrorCode error) {
      self->pinging_ = false;
      if (error && !self->finished_) self->Finish();
    });
  }

 private:
  void CloseSocket() override { socket_.next_layer().Close(); }
  void Heard() { heard_ns_ = state_->clock.MonotonicNs(); }

  void Opened() {
    opened_ = true;
    socket_.text(true);
    if (closing_ || state_->stopping) {
      closing_ = true;
      return StartClose();
    }
    Read();
    start_.opened(loop_, shared_from_this());
    start_.opened = nullptr;
  }

  // Clients have nothing to say that we listen to; reading answers their pings and hears their close.
  void Read() {
    incoming_.clear();
    socket_.async_read(incoming_, [self = shared_from_this()](ErrorCode error, std::size_t) {
      if (self->finished_) return;
      if (error) return self->Finish();
      self->Heard();
      self->Read();
    });
  }

  void StartClose() {
    SetWriteDeadline();
    socket_.async_close(reason_, [self = shared_from_this()](ErrorCode) { self->Finish(); });
  }

  websocket::stream<AnyStream> socket_;
  UpgradeRequest request_;
  beast::flat_buffer incoming_;
  std::shared_ptr<const std::string> sending_;
  websocket::close_reason reason_;
  std::int64_t heard_ns_ = 0;
  bool opened_ = false;
  bool pinging_ = false;
  bool closing_ = false;
};

class EventStream final : public StreamSession, public std::enable_shared_from_this<EventStream> {
 public:
  EventStream(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote, StreamStart start)
      : StreamSession(state, loop, std::move(remote), std::move(start)), stream_(std::move(stream)) {}

  void Open(std::string head) {
    head_ = std::move(head);
    opening_ = true;
    Watch();
    WriteNext();
  }

  void Send(StreamMessage message) override {
    if (finished_ || closing_) return;
    head_ = "event: ";
    head_ += message.type;
    if (!message.id.empty()) {
      head_ += "\nid: ";
      head_ += message.id;
    }
    head_ += "\ndata: ";
    body_ = std::move(message.json);
    WriteNext();
  }

  void Close(std::string_view) override {
    if (finished_ || closing_) return;
    closing_ = true;
    // A message on its way is finished first.
    if (!writing_) Finish();
  }

  void Sweep(std::int64_t now_ns) override {
    if (finished_ || !TooSlow(now_ns)) return;
    state_->timed_out->Add();
    Finish();
  }

 private:
  void CloseSocket() override { stream_.Close(); }

  std::size_t size() const { return head_.size() + (body_ == nullptr ? 0 : body_->size() + kEnd.size()); }

  void WriteNext() {
    writing_ = true;
    SetWriteDeadline();
    std::array<asio::const_buffer, 3> parts;
    std::size_t skip = written_;
    std::size_t at = 0;
    const std::string_view body = body_ == nullptr ? std::string_view() : std::string_view(*body_);
    for (const std::string_view part : {std::string_view(head_), body, body_ == nullptr ? std::string_view() : kEnd}) {
      const std::size_t gone = std::min(skip, part.size());
      skip -= gone;
      if (part.size() > gone) parts[at++] = asio::const_buffer(part.data() + gone, part.size() - gone);
    }
    stream_.async_write_some(parts, [self = shared_from_this()](ErrorCode error, std::size_t size) { self->OnWritten(error, size); });
  }

  void OnWritten(ErrorCode error, std::size_t bytes) {
    if (finished_) return;
    if (error) return Finish();
    written_ += bytes;
    if (written_ < size()) return WriteNext();
    writing_ = false;
    const std::size_t whole = std::exchange(written_, 0);
    head_.clear();
    body_ = nullptr;
    if (closing_ || state_->stopping) return Finish();
    if (!std::exchange(opening_, false)) return Sent(whole);
    ClearWriteDeadline();
    start_.opened(loop_, shared_from_this());
    start_.opened = nullptr;
  }

  // Nothing more is expected from the client; reading is how its going away is noticed.
  void Watch() {
    stream_.async_read_some(asio::buffer(watched_), [self = shared_from_this()](ErrorCode error, std::size_t) {
      if (self->finished_) return;
      if (error) return self->Finish();
      self->Watch();
    });
  }

  static constexpr std::string_view kEnd = "\n\n";
  AnyStream stream_;
  std::string head_;
  std::shared_ptr<const std::string> body_;
  std::array<char, 64> watched_{};
  std::size_t written_ = 0;
  bool opening_ = false;
  bool writing_ = false;
  bool closing_ = false;
};

// Without a bound the kernel would queue megabytes for a client that does not read, all of them out of date.
void BoundSendBuffer(AnyStream& stream) {
  ErrorCode ignored;
  stream.socket().set_option(asio::socket_base::send_buffer_size(kTcpBuffer), ignored);
}

}  // namespace

void StartWebSocket(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote,
                    UpgradeRequest request, std::string extra_headers, StreamStart start) {
  BoundSendBuffer(stream);
  auto session = std::make_shared<WebSocketStream>(state, loop, std::move(stream), std::move(remote), std::move(start));
  loop.Add(session);
  session->Accept(std::move(request), extra_headers);
}

void StartServerSentEvents(const std::shared_ptr<ServerState>& state, LoopThread& loop, AnyStream stream, std::string remote,
                           std::string head, StreamStart start) {
  BoundSendBuffer(stream);
  auto session = std::make_shared<EventStream>(state, loop, std::move(stream), std::move(remote), std::move(start));
  loop.Add(session);
  session->Open(std::move(head));
}

}  // namespace sightline::serve::internal
