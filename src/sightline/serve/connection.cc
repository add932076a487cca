#include <boost/asio/dispatch.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>

#include "sightline/base/text.h"
#include "sightline/serve/content_decoder.h"
#include "sightline/serve/http_text.h"
#include "sightline/serve/server_internal.h"
#include "sightline/serve/url.h"

namespace sightline::serve::internal {
namespace {

namespace http = beast::http;

// How the parser hands the pieces of a body over, without a buffer in between.
class BodyTaker {
 public:
  // False to stop the parser.
  virtual bool TakeBody(std::string_view piece) = 0;

 protected:
  ~BodyTaker() = default;
};

struct TakenBody {
  using value_type = BodyTaker*;
  class reader {
   public:
    template <bool is_request, typename Fields>
    reader(http::header<is_request, Fields>&, value_type& taker) : taker_(taker) {}
    void init(const boost::optional<std::uint64_t>&, ErrorCode& error) { error = {}; }
    template <typename Buffers>
    std::size_t put(const Buffers& buffers, ErrorCode& error) {
      error = {};
      std::size_t taken = 0;
      for (auto it = asio::buffer_sequence_begin(buffers); it != asio::buffer_sequence_end(buffers); ++it) {
        const asio::const_buffer piece(*it);
        if (!taker_->TakeBody({static_cast<const char*>(piece.data()), piece.size()})) {
          error = boost::system::errc::make_error_code(boost::system::errc::operation_canceled);
          return taken;
        }
        taken += piece.size();
      }
      return taken;
    }
    void finish(ErrorCode& error) { error = {}; }

   private:
    value_type& taker_;
  };
};
using Parser = http::request_parser<TakenBody>;

constexpr std::size_t kHeaderRead = 4 << 10;
constexpr std::size_t kBodyRead = 64 << 10;
constexpr std::size_t kJoinedMax = 16 << 10;  // smaller bodies are copied behind the header: one buffer, one packet
constexpr auto kLingerFor = std::chrono::seconds(2);
constexpr std::uint64_t kLingerBytesMax = 1 << 20;

class Connection final : public Session, public BodyTaker, public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerState> state, std::shared_ptr<LoopThread> loop, AnyStream stream, std::string remote)
      : state_(std::move(state)), loop_(*loop), weak_loop_(loop), stream_(std::move(stream)), remote_(std::move(remote)) {}
  ~Connection() { ReleaseCount(); }

  void Start() {
    if (!stream_.tls()) return NextRequest();
    SetDeadline(state_->options.header_timeout);
    stream_.AsyncHandshake([self = shared_from_this()](ErrorCode error) {
      if (error) return self->Finish();
      self->NextRequest();
    });
  }

  void Sweep(std::int64_t now_ns) override;
  void Stop() override;
  void Kill() override { Finish(); }
  bool TakeBody(std::string_view piece) override;

 private:
  enum class Phase : std::uint8_t { kHandshake, kIdle, kHeader, kBody, kHandling, kWriting, kLingering, kClosed };

  // One answer to one request, given from any thread or, when the handler forgot it, by its destruction.
  class Answer {
   public:
    Answer(std::weak_ptr<LoopThread> loop, std::weak_ptr<Connection> connection)
        : loop_(std::move(loop)), connection_(std::move(connection)) {}
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
    ~Answer() {
      if (!given_.load()) Give(ErrorResponse({ErrorKind::kInternal, "the request was dropped without an answer"}, ""));
    }
    void Give(Response response) {
      if (given_.exchange(true)) return;
      const auto loop = loop_.lock();
      if (loop == nullptr) return;
      asio::dispatch(loop->context(), [connection = connection_, response = std::move(response)]() mutable {
        // Only on its own thread may the connection be kept alive: its socket must not outlive the loop.
        if (const auto self = connection.lock()) self->Respond(std::move(response));
      });
    }

   private:
    std::weak_ptr<LoopThread> loop_;
    std::weak_ptr<Connection> connection_;
    std::atomic<bool> given_{false};
  };

  void NextRequest();
  void ReadMore();
  void Process();
  bool OnHeader();
  Status FillRequest();
  Result<std::unique_ptr<ContentDecoder>> DecoderFor(const Admission& admission);
  bool AwaitBody();
  void OnComplete();
  void Dispatch();
  void Refuse(Response response);
  void RefuseError(int status, const Error& error);
  void OnParseError(ErrorCode error);
  void Respond(Response response);
  void OpenStream(Response response);
  std::string Head(const Response& response, std::size_t body_size) const;
  void Write();
  void OnWritten();
  void Linger();
  void Finish();
  void ReleaseCount();
  std::string TooSlow() const;

  void SetDeadline(std::chrono::milliseconds after) { deadline_ns_ = state_->clock.MonotonicNs() + Ns(after); }
  bool has_body() const { return parser_->chunked() || parser_->content_length().value_or(0) > 0; }

  const std::shared_ptr<ServerState> state_;
  LoopThread& loop_;
  const std::weak_ptr<LoopThread> weak_loop_;
  AnyStream stream_;
  const std::string remote_;
  Phase phase_ = Phase::kHandshake;
  bool counted_ = true;
  bool close_after_ = false;
  std::int64_t deadline_ns_ = kNever;

  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::shared_ptr<Request> request_;
  Admission admission_;
  std::unique_ptr<ContentDecoder> decoder_;
  std::optional<Error> body_error_;
  std::uint64_t body_received_ = 0;
  std::int64_t body_started_ns_ = 0;

  std::string head_;
  Response response_;
  std::size_t written_ = 0;
  std::uint64_t lingered_ = 0;
};

// What a request's body counts against the bound over all bodies.
struct BodyBudget {
  explicit BodyBudget(std::shared_ptr<ServerState> s) : state(std::move(s)) {}
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;
  ~BodyBudget() { state->body_bytes -= held; }
  bool Hold(std::uint64_t bytes) {
    const std::uint64_t more = bytes - held;
    if (state->body_bytes.fetch_add(more) + more > state->options.body_bytes_in_flight_max) {
      state->body_bytes -= more;
      return false;
    }
    held = bytes;
    return true;
  }
  std::shared_ptr<ServerState> state;
  std::uint64_t held = 0;
};

void Connection::NextRequest() {
  parser_.emplace();
  parser_->header_limit(state_->options.header_bytes_max);
  parser_->body_limit(boost::none);
  parser_->eager(false);
  parser_->get().body() = this;
  request_ = nullptr;
  decoder_ = nullptr;
  body_error_.reset();
  body_received_ = 0;
  if (state_->stopping && buffer_.size() == 0) return Finish();
  phase_ = Phase::kIdle;
  SetDeadline(state_->options.idle_timeout);
  Process();
}

void Connection::ReadMore() {
  const std::size_t room = phase_ == Phase::kBody ? kBodyRead : kHeaderRead;
  stream_.async_read_some(buffer_.prepare(room), [self = shared_from_this()](ErrorCode error, std::size_t size) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->Finish();
    self->state_->bytes_in->Add(size);
    self->buffer_.commit(size);
    self->Process();
  });
}

void Connection::Process() {
  if (phase_ == Phase::kIdle) {
    // An empty line before a request is ignored (RFC 9112, 2.2).
    const auto data = buffer_.data();
    const std::string_view text(static_cast<const char*>(data.data()), data.size());
    if (text.starts_with("\r\n")) buffer_.consume(2);
    if (buffer_.size() > 0) {
      phase_ = Phase::kHeader;
      SetDeadline(state_->options.header_timeout);
    }
  }
  while (buffer_.size() > 0) {
    ErrorCode error;
    const std::size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == http::error::need_more) break;
    if (error) return OnParseError(error);
    if (phase_ == Phase::kHeader && parser_->is_header_done() && !OnHeader()) return;
    if (parser_->is_done()) return OnComplete();
    if (used == 0 && phase_ != Phase::kBody) break;
  }
  ReadMore();
}

void Connection::OnParseError(ErrorCode error) {
  state_->bad_requests->Add();
  if (body_error_) return RefuseError(body_error_->kind == ErrorKind::kOutOfRange ? 413 : StatusOf(body_error_->kind), *body_error_);
  if (request_ == nullptr) {
    request_ = std::make_shared<Request>();
    request_->remote = remote_;
    request_->id = state_->request_prefix + std::to_string(state_->next_request++);
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return RefuseError(
        431, {ErrorKind::kInvalidArgument, "the request's header is larger than " + FormatBytes(state_->options.header_bytes_max)});
  }
  if (error == http::error::bad_version) return RefuseError(505, {ErrorKind::kInvalidArgument, "this server speaks HTTP/1.1"});
  RefuseError(400, {ErrorKind::kInvalidArgument, "the request is not valid HTTP/1.1: " + error.message()});
}

// Checks what the parser leaves open, above all whatever two servers in a row could read differently (request smuggling).
Status Connection::FillRequest() {
  const auto& message = parser_->get();
  Request& request = *request_;
  for (const auto& field : message) {
    request.headers.Add(std::string_view(field.name_string().data(), field.name_string().size()),
                        std::string_view(field.value().data(), field.value().size()));
  }
  const auto wrong = [](std::string text) { return Fail(ErrorKind::kInvalidArgument, std::move(text)); };
  if (message.version() >= 11 && request.headers.Count("Host") != 1) return wrong("exactly one Host field is needed");
  if (request.headers.Count("Host") > 1) return wrong("more than one Host field");
  if (const std::string_view host = request.headers.Find("Host"); !IsHost(host)) return wrong("the Host field is not a host");
  const std::size_t encodings = request.headers.Count("Transfer-Encoding");
  const std::size_t lengths = request.headers.Count("Content-Length");
  if (encodings > 0 && lengths > 0) return wrong("both Transfer-Encoding and Content-Length");
  if (encodings > 1 || lengths > 1) return wrong("Transfer-Encoding or Content-Length more than once");
  if (encodings == 1 && (message.version() < 11 || !IsChunked(request.headers.Find("Transfer-Encoding")))) {
    return wrong("the only Transfer-Encoding known here is chunked");
  }
  if (lengths == 1 && !IsDecimal(request.headers.Find("Content-Length"))) return wrong("Content-Length is not a number");
  request.target = std::string(message.target().data(), message.target().size());
  if (request.method == Method::kOptions && request.target == "*") return {};
  SL_ASSIGN_OR_RETURN(Target target, ParseTarget(OriginForm(request.target)));
  request.path = std::move(target.path);
  request.query = std::move(target.query);
  return {};
}

bool Connection::OnHeader() {
  request_ = std::make_shared<Request>();
  request_->remote = remote_;
  request_->tls = stream_.tls();
  request_->started_ns = state_->clock.MonotonicNs();
  const auto& message = parser_->get();
  close_after_ = !message.keep_alive();
  const auto version = message.version();
  const auto given_id = message["X-Request-Id"];
  const std::string_view id(given_id.data(), given_id.size());
  request_->id = IsRequestId(id) ? std::string(id) : state_->request_prefix + std::to_string(state_->next_request++);
  if (version != 10 && version != 11) {
    RefuseError(505, {ErrorKind::kInvalidArgument, "this server speaks HTTP/1.1"});
    return false;
  }
  const auto method = ParseMethod({message.method_string().data(), message.method_string().size()});
  if (!method) {
    RefuseError(501, {ErrorKind::kInvalidArgument, "the method is not known here"});
    return false;
  }
  request_->method = *method;
  if (const auto filled = FillRequest(); !filled) {
    state_->bad_requests->Add();
    close_after_ = true;  // whoever stands between may take what follows for a part of it
    RefuseError(400, filled.error());
    return false;
  }
  if (request_->target == "*") {
    Response response;
    response.status = 204;
    response.Set("Allow", "GET, HEAD, POST, DELETE, OPTIONS");
    Refuse(std::move(response));
    return false;
  }
  admission_ = state_->application->Admit(*request_);
  if (admission_.refusal) {
    Refuse(std::move(*admission_.refusal));
    return false;
  }
  return parser_->is_done() || AwaitBody();
}

// Prepares for the body; false when the request has been refused instead, or when reading goes on by itself.
bool Connection::AwaitBody() {
  const auto too_large = [&] {
    RefuseError(413, {ErrorKind::kOutOfRange,
                      admission_.body_bytes_max == 0
                          ? std::string("this request takes no body")
                          : "the body is larger than the " + FormatBytes(admission_.body_bytes_max) + " allowed here; send it in parts"});
    return false;
  };
  if (parser_->content_length().value_or(0) > admission_.body_bytes_max) return too_large();
  const std::string_view encoding = request_->headers.Find("Content-Encoding");
  auto decoder = admission_.decodes_content || encoding.empty()
                     ? ContentDecoder::Make(encoding, {.decoded_bytes_max = admission_.body_bytes_max})
                     : Fail(ErrorKind::kInvalidArgument, "this request takes no Content-Encoding");
  if (!decoder) {
    RefuseError(415, decoder.error());
    return false;
  }
  decoder_ = std::move(*decoder);
  if (encoding.empty()) request_->body.Reserve(std::min<std::uint64_t>(parser_->content_length().value_or(0), 1 << 20));
  request_->body_budget = std::make_shared<BodyBudget>(state_);
  phase_ = Phase::kBody;
  body_started_ns_ = state_->clock.MonotonicNs();
  SetDeadline(state_->options.body_idle_timeout);
  parser_->eager(true);
  const std::string_view expect = request_->headers.Find("Expect");
  if (expect.empty()) return true;
  if (!IsContinue(expect)) {
    RefuseError(417, {ErrorKind::kInvalidArgument, "the only expectation known here is 100-continue"});
    return false;
  }
  if (buffer_.size() > 0) return true;  // the body is coming already
  static constexpr std::string_view kGoOn = "HTTP/1.1 100 Continue\r\n\r\n";
  stream_.async_write_some(asio::const_buffer(kGoOn.data(), kGoOn.size()), [self = shared_from_this()](ErrorCode error, std::size_t size) {
    if (self->phase_ == Phase::kClosed) return;
                             // A socket whose buffer has no room for 25 bytes before anything was sent is no socket to serve.
    if (error || size != kGoOn.size()) return self->Finish();
    self->ReadMore();
  });
  return false;
}

bool Connection::TakeBody(std::string_view piece) {
  body_received_ += piece.size();
  // In time as long as bytes keep coming, and on the whole fast enough.
  const auto& options = state_->options;
  const std::int64_t now = state_->clock.MonotonicNs();
  const std::int64_t whole = body_started_ns_ + Ns(options.body_grace) +
                             static_cast<std::int64_t>(body_received_ / options.body_bytes_per_second_min) * 1'000'000'000;
  deadline_ns_ = std::min(now + Ns(options.body_idle_timeout), whole);
  const auto written = decoder_->Write(piece, request_->body);
  if (!written) {
    body_error_ = written.error();
    return false;
  }
  if (!static_cast<BodyBudget*>(request_->body_budget.get())->Hold(request_->body.size())) {
    body_error_ = Error{ErrorKind::kResourceExhausted, "too many large requests at once; send it again in a moment"};
    return false;
  }
  return true;
}

void Connection::OnComplete() {
  if (decoder_ != nullptr) {
    if (const auto finished = decoder_->Finish(); !finished) return RefuseError(400, finished.error());
    decoder_ = nullptr;
  }
  Dispatch();
}

void Connection::Dispatch() {
  phase_ = Phase::kHandling;
  deadline_ns_ = kNever;
  auto answer = std::make_shared<Answer>(weak_loop_, weak_from_this());
  auto run = [handler = std::move(admission_.handler), request = std::shared_ptr<const Request>(request_), answer, log = &state_->log] {
    try {
      handler(request, [answer](Response response) { answer->Give(std::move(response)); });
    } catch (const std::exception& e) {
      log->Error("a request failed unexpectedly", {{"request_id", request->id}, {"path", request->path}, {"error", e.what()}});
      answer->Give(ErrorResponse({ErrorKind::kInternal, "the request failed unexpectedly; the log says more under its id"}, request->id));
    }
  };
  if (!admission_.on_worker && request_->body.size() <= admission_.worker_above) return run();
  if (!state_->workers.TryPost(std::move(run))) {
    answer->Give(ErrorResponse({ErrorKind::kUnavailable, "too many requests are waiting; try again in a moment"}, request_->id));
  }
}

void Connection::RefuseError(int status, const Error& error) {
  Response response = ErrorResponse(error, request_->id);
  response.status = status;
  Refuse(std::move(response));
}

// Answers before the request is complete; what is left of it is not read, so that the connection ends.
void Connection::Refuse(Response response) {
  if (!parser_->is_done()) close_after_ = true;
  Respond(std::move(response));
}

void Connection::Respond(Response response) {
  if (phase_ == Phase::kClosed) return;
  if (state_->stopping) close_after_ = true;
  response.Set("X-Request-Id", request_->id);
  if (state_->application != nullptr) state_->application->Finish(*request_, response);
  if (response.status == 500) {
    state_->log.Error("a request failed", {{"request_id", request_->id},
                                           {"method", MethodName(request_->method)},
                                           {"path", request_->path},
                                           {"principal", request_->principal.name},
                                           {"status", response.status},
                                           {"answer", response.body}});
  } else {
    state_->log.Debug("answered", {{"request_id", request_->id},
                                   {"method", MethodName(request_->method)},
                                   {"path", request_->path},
                                   {"principal", request_->principal.name},
                                   {"status", response.status}});
  }
  if (response.stream) return OpenStream(std::move(response));
  response_ = std::move(response);
  const std::string_view body = response_.bytes();
  head_ = Head(response_, body.size());
  const bool bodiless = request_->method == Method::kHead || response_.status == 204 || response_.status == 304;
  if (bodiless) {
    response_.body.clear();
    response_.static_body = {};
  } else if (body.size() <= kJoinedMax) {
    head_ += body;
    response_.body.clear();
    response_.static_body = {};
  }
  // The body's memory is not needed for the answer.
  request_ = nullptr;
  written_ = 0;
  phase_ = Phase::kWriting;
  SetDeadline(state_->options.write_timeout);
  Write();
}

std::string Connection::Head(const Response& response, std::size_t body_size) const {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " ";
  head += ReasonPhrase(response.status);
  head += "\r\nDate: ";
  AppendHttpDate(head, state_->clock.Now());
  head += "\r\n";
  for (const auto& [name, value] : response.headers) {
    head += name;
    head += ": ";
    AppendHeaderValue(head, value);
    head += "\r\n";
  }
  if (response.stream) {
    head += "Connection: close\r\n\r\n";
    return head;
  }
  if (response.status != 204 && response.status != 304) {
    head += "Content-Length: ";
    head += std::to_string(body_size);
    head += "\r\n";
  }
  if (close_after_) {
    head += "Connection: close\r\n";
  } else if (parser_->get().version() < 11) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

void Connection::Write() {
  const std::string_view body = response_.bytes();
  std::array<asio::const_buffer, 2> parts;
  if (written_ < head_.size()) {
    parts[0] = asio::const_buffer(head_.data() + written_, head_.size() - written_);
    parts[1] = asio::const_buffer(body.data(), body.size());
  } else {
    const std::size_t at = written_ - head_.size();
    parts[0] = asio::const_buffer(body.data() + at, body.size() - at);
  }
  stream_.async_write_some(parts, [self = shared_from_this()](ErrorCode error, std::size_t size) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->Finish();
    self->state_->bytes_out->Add(size);
    self->written_ += size;
    if (self->written_ == self->head_.size() + self->response_.bytes().size()) return self->OnWritten();
    self->SetDeadline(self->state_->options.write_timeout);
    self->Write();
  });
}

void Connection::OnWritten() {
  response_ = Response();
  head_.clear();
  if (close_after_) return Linger();
  // Answered requests that were sent at once must not become recursion.
  asio::post(loop_.context(), [self = shared_from_this()] {
    if (self->phase_ != Phase::kClosed) self->NextRequest();
  });
}

// Closing while unread bytes are there resets the connection, and the client may never see the answer: read on for a while.
void Connection::Linger() {
  if (phase_ != Phase::kLingering) {
    phase_ = Phase::kLingering;
    stream_.ShutdownSend();
    SetDeadline(kLingerFor);
  }
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(kHeaderRead), [self = shared_from_this()](ErrorCode error, std::size_t size) {
    if (self->phase_ == Phase::kClosed) return;
    self->lingered_ += size;
    if (error || self->lingered_ > kLingerBytesMax) return self->Finish();
    self->Linger();
  });
}

void Connection::OpenStream(Response response) {
  const StreamStart start = *response.stream;
  const auto self = shared_from_this();
  counted_ = false;  // the stream goes on as the same connection
  if (start.kind == StreamStart::Kind::kServerSentEvents) {
    response.Set("Content-Type", "text/event-stream");
    std::string head = Head(response, 0);
    phase_ = Phase::kClosed;
    StartServerSentEvents(state_, loop_, std::move(stream_), remote_, std::move(head), start);
  } else {
    std::string extra;
    for (const auto& [name, value] : response.headers) {
      extra += name;
      extra += '\n';
      extra += value;
      extra += '\n';
    }
    phase_ = Phase::kClosed;
    StartWebSocket(state_, loop_, std::move(stream_), remote_, UpgradeRequest(parser_->get().base()), std::move(extra), start);
  }
  loop_.Remove(this);
}

std::string Connection::TooSlow() const {
  const ServerOptions& options = state_->options;
  if (phase_ == Phase::kHeader) return "the request's header did not come within " + FormatDuration(options.header_timeout);
  return "the request's body did not come in time: nothing of it for " + FormatDuration(options.body_idle_timeout) + ", or after " +
         FormatDuration(options.body_grace) + " less than " + FormatBytes(options.body_bytes_per_second_min) + " a second";
}

void Connection::Sweep(std::int64_t now_ns) {
  if (now_ns < deadline_ns_ || phase_ == Phase::kClosed) return;
  state_->timed_out->Add(phase_ == Phase::kIdle || phase_ == Phase::kLingering ? 0 : 1);
  if (phase_ != Phase::kHeader && phase_ != Phase::kBody) return Finish();
  // Say why, without waiting for the client to take it: the pending read ends with the connection.
  if (request_ == nullptr) {
    request_ = std::make_shared<Request>();
    request_->id = state_->request_prefix + std::to_string(state_->next_request++);
  }
  Response response = ErrorResponse({ErrorKind::kDeadlineExceeded, TooSlow()}, request_->id);
  response.status = 408;
  response.Set("X-Request-Id", request_->id);
  close_after_ = true;
  std::string text = Head(response, response.body.size()) + response.body;
  if (!stream_.tls()) {
    ErrorCode ignored;
    stream_.socket().non_blocking(true, ignored);
    stream_.socket().write_some(asio::const_buffer(text.data(), text.size()), ignored);
  }
  Finish();
}

void Connection::Stop() {
  close_after_ = true;
  if (phase_ == Phase::kIdle || phase_ == Phase::kHandshake || phase_ == Phase::kLingering) Finish();
}

void Connection::Finish() {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  phase_ = Phase::kClosed;
  stream_.Close();
  ReleaseCount();
  loop_.Remove(this);
}

void Connection::ReleaseCount() {
  if (std::exchange(counted_, false)) state_->Release(remote_);
}

}  // namespace

void StartConnection(const std::shared_ptr<ServerState>& state, const std::shared_ptr<LoopThread>& loop, Socket socket,
                     std::string remote) {
  auto stream = state->tls ? AnyStream(std::move(socket), *state->tls) : AnyStream(std::move(socket));
  auto connection = std::make_shared<Connection>(state, loop, std::move(stream), std::move(remote));
  loop->Add(connection);
  connection->Start();
}

}  // namespace sightline::serve::internal
