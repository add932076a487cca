#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/bus/port.h"
#include "sightline/model/ids.h"

struct rd_kafka_s;
struct rd_kafka_topic_s;
struct rd_kafka_error_s;

// A thin layer over librdkafka's C API: what every client of a Kafka cluster shares. producer.h, transaction.h, consumer.h,
// group_consumer.h and admin.h hold the clients, kafka_bus.h the bus made of them.
namespace sightline::kafka {

enum class Codec : std::uint8_t { kNone, kGzip, kSnappy, kLz4, kZstd };
enum class SaslMechanism : std::uint8_t { kPlain, kScramSha256, kScramSha512 };

struct Sasl {
  SaslMechanism mechanism = SaslMechanism::kScramSha512;
  std::string user;
  std::string password;  // never logged
};
struct Tls {
  std::string ca;            // path of a PEM file; empty: the system's authorities
  std::string certificate;   // path of a PEM chain, for clients that show one
  std::string key;           // path of its PEM private key
  std::string key_password;  // never logged
};

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

struct ClientOptions {
  std::vector<std::string> brokers;  // "host:port", one is enough: the others are learned
  std::optional<Tls> tls;            // without it the traffic is readable on the way
  std::optional<Sasl> sasl;
  std::string client_id = "sightline";
  Codec compression = Codec::kLz4;
  std::chrono::microseconds linger{1000};            // how long a record waits for others to share a request
  std::uint64_t message_bytes_max = 1'000'000;       // a record with its key and headers; brokers and topics have limits of their own
  std::chrono::milliseconds request_timeout{30'000}; // a request to a broker, retries included
  std::chrono::milliseconds delivery_timeout{30'000};// until a record must be acknowledged
  // Lines of the client, from its threads; `text` names client, broker and address. Nothing secret is in them.
  std::function<void(LogLevel level, std::string_view text)> log;
  // librdkafka's statistics as JSON, every `statistics_interval`, from a thread of the client; zero: never.
  std::function<void(std::string_view json)> statistics;
  std::chrono::milliseconds statistics_interval{0};
};

// "127.0.0.1:9092, …" for messages.
std::string BrokersOf(const ClientOptions& options);

// What a code of librdkafka or of a broker means to a caller.
ErrorKind KindOf(int code);
// "what: cause; remedy" for such a code. `detail` is librdkafka's own text, where there is one.
Error MakeError(int code, std::string_view what, std::string_view detail = {});

using Settings = std::vector<std::pair<std::string, std::string>>;

// One librdkafka client: its connections, threads, and what last went wrong on them. Thread-safe.
class Handle {
 public:
  enum class Role : std::uint8_t { kProducer, kConsumer };
  // Who serves errors, statistics and delivery reports.
  enum class Serving : std::uint8_t {
    kThread,  // a thread of the handle
    kCaller,  // whoever polls the client (a group's consumer)
  };
  // A record was acknowledged or failed; from the handle's thread. `opaque` is what was given with the record.
  using Delivered = void (*)(void* owner, int code, int persisted, std::int64_t offset, void* opaque);
  struct Callbacks {
    Delivered delivered = nullptr;
    // A group's assignment changed: `partitions` is an rd_kafka_topic_partition_list_t.
    void (*rebalanced)(void* owner, rd_kafka_s* client, int code, void* partitions) = nullptr;
    void* owner = nullptr;
  };

  // kInvalidArgument when a setting is not accepted (the message names it, not its value when it is secret) or a certificate or key cannot
  // be read. Connects in the background: see Reach.
  static Result<std::shared_ptr<Handle>> Make(const ClientOptions& options, Role role, Serving serving, const Settings& settings,
                                              Callbacks callbacks);
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle();

  rd_kafka_s* get() const { return client_; }
  const ClientOptions& options() const { return options_; }
  // Waits until a broker answers; says at once when it refuses the credentials or its certificate is not accepted.
  Status Reach(std::chrono::milliseconds timeout);
  // MakeError, with what happened on the connections where the code alone says that nothing came back.
  Error Explain(int code, std::string_view what, std::string_view detail = {}) const;
  // As Explain; destroys the error.
  Error Explain(rd_kafka_error_s* error, std::string_view what) const;
  // Something worked: what went wrong before is over.
  void NoteSuccess() const;
  // What went wrong on the connections since something last worked.
  std::optional<Error> trouble() const;
  void NoteTrouble(int code, std::string_view reason) const;

 private:
  explicit Handle(ClientOptions options, Callbacks callbacks) : options_(std::move(options)), callbacks_(callbacks) {}
  struct Hooks;
  friend struct Hooks;

  ClientOptions options_;
  Callbacks callbacks_;
  rd_kafka_s* client_ = nullptr;
  mutable std::mutex mutex_;
  mutable int trouble_code_ = 0;
  mutable std::string trouble_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// What a record carries beside its value.
struct RecordHeader {
  std::string_view name;  // ends in a zero
  std::string_view value;  // without data: null
};
struct OutRecord {
  std::string_view value;
  bool null_value = false;  // a tick; the end of a key in a compacted topic
  std::optional<std::string_view> key = std::nullopt;
  std::span<const RecordHeader> headers = {};
  // Bytes as Kafka counts them against its limits.
  std::uint64_t size() const;
};

// A topic of one client. Cheap; the handle must be alive.
class TopicRef {
 public:
  TopicRef() = default;
  TopicRef(std::shared_ptr<Handle> handle, const std::string& topic, std::optional<Codec> compression);
  rd_kafka_topic_s* get() const { return topic_.get(); }

 private:
  std::shared_ptr<Handle> handle_;
  std::shared_ptr<rd_kafka_topic_s> topic_;
};

std::string_view CodecName(Codec codec);

}  // namespace sightline::kafka
