#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sightline/serve/loop.h"

namespace sightline::serve {

// A message of a WebSocket or server-sent event stream. The JSON is shared between all clients that get the same.
struct StreamMessage {
  std::string_view type;                    // a literal: the event's name in server-sent events
  std::string id;                           // the resume token; may be empty
  std::shared_ptr<const std::string> json;  // one line
};

// What a stream tells its user; called on the stream's loop.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // The message handed to Send is with the operating system; the next one may be sent.
  virtual void OnSent() = 0;
  // The other side is gone, or the server stops; nothing is called afterwards.
  virtual void OnClosed() = 0;
};

// An open stream to one client. Used on its loop alone. It keeps itself alive while open.
class Stream {
 public:
  virtual ~Stream() = default;
  // Before anything is sent.
  virtual void SetListener(std::shared_ptr<StreamListener> listener) = 0;
  // One message at a time: the next only after OnSent. A client that does not take it within the write time-out is cut off.
  virtual void Send(StreamMessage message) = 0;
  // Ends the stream in an orderly way; OnClosed follows.
  virtual void Close(std::string_view reason) = 0;
};

// How a response turns its connection into a stream.
struct StreamStart {
  enum class Kind : std::uint8_t { kWebSocket, kServerSentEvents };
  Kind kind = Kind::kServerSentEvents;
  // Called once on the connection's loop when the stream is open.
  std::function<void(Loop& loop, std::shared_ptr<Stream> stream)> opened;
};

}  // namespace sightline::serve
