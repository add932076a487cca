#include "connectors/kafka/client.h"

#include <librdkafka/rdkafka.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstring>

namespace sightline::kafka {
namespace {

constexpr int kServeMs = 50;
constexpr std::chrono::milliseconds kLook{250};
constexpr std::size_t kErrorBytes = 512;
constexpr std::uint64_t kRecordOverhead = 70;  // of a record in a batch of its own, at most

std::string_view MechanismName(SaslMechanism mechanism) {
  switch (mechanism) {
    case SaslMechanism::kPlain: return "PLAIN";
    case SaslMechanism::kScramSha256: return "SCRAM-SHA-256";
    case SaslMechanism::kScramSha512: return "SCRAM-SHA-512";
  }
  return "PLAIN";
}

std::string Milliseconds(std::chrono::milliseconds time) { return std::to_string(time.count()); }

// Which of two troubles says more: that all brokers are down follows from another.
bool SaysMore(int code) {
  return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
         code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

// Codes that say that no answer came, and not why.
bool SaysNothing(int code) {
  return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || code == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE || code == RD_KAFKA_RESP_ERR__WAIT_COORD ||
         code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

Settings SettingsOf(const ClientOptions& options) {
  Settings all;
  std::string brokers;
  for (const std::string& broker : options.brokers) brokers += (brokers.empty() ? "" : ",") + broker;
  const bool tls = options.tls.has_value();
  const bool sasl = options.sasl.has_value();
  all.emplace_back("bootstrap.servers", brokers);
  all.emplace_back("client.id", options.client_id);
  all.emplace_back("security.protocol", tls ? (sasl ? "sasl_ssl" : "ssl") : (sasl ? "sasl_plaintext" : "plaintext"));
  if (sasl) {
    all.emplace_back("sasl.mechanism", MechanismName(options.sasl->mechanism));
    all.emplace_back("sasl.username", options.sasl->user);
    all.emplace_back("sasl.password", options.sasl->password);
  }
  if (tls) {
    if (!options.tls->ca.empty()) all.emplace_back("ssl.ca.location", options.tls->ca);
    if (!options.tls->certificate.empty()) all.emplace_back("ssl.certificate.location", options.tls->certificate);
    if (!options.tls->key.empty()) all.emplace_back("ssl.key.location", options.tls->key);
    if (!options.tls->key_password.empty()) all.emplace_back("ssl.key.password", options.tls->key_password);
    all.emplace_back("ssl.endpoint.identification.algorithm", "https");
  }
  all.emplace_back("socket.timeout.ms", Milliseconds(options.request_timeout));
  all.emplace_back("socket.nagle.disable", "true");
  all.emplace_back("reconnect.backoff.ms", "50");
  all.emplace_back("reconnect.backoff.max.ms", "1000");
  // Restarted brokers come back at other addresses; who leads a partition is asked again soon.
  all.emplace_back("broker.address.ttl", "1000");
  all.emplace_back("topic.metadata.refresh.interval.ms", "30000");
  all.emplace_back("topic.metadata.refresh.fast.interval.ms", "100");
  all.emplace_back("log.connection.close", "false");
  if (options.statistics) all.emplace_back("statistics.interval.ms", Milliseconds(options.statistics_interval));
  return all;
}

bool IsSecret(std::string_view name) { return name == "sasl.password" || name == "ssl.key.password"; }

}  // namespace

std::string BrokersOf(const ClientOptions& options) {
  std::string all;
  for (const std::string& broker : options.brokers) all += (all.empty() ? "" : ", ") + broker;
  return all;
}

std::string_view CodecName(Codec codec) {
  switch (codec) {
    case Codec::kNone: return "none";
    case Codec::kGzip: return "gzip";
    case Codec::kSnappy: return "snappy";
    case Codec::kLz4: return "lz4";
    case Codec::kZstd: return "zstd";
  }
  return "none";
}

std::uint64_t OutRecord::size() const {
  std::uint64_t bytes = kRecordOverhead + value.size() + (key ? key->size() : 0);
  for (const RecordHeader& header : headers) bytes += header.name.size() + header.value.size() + 10;
  return bytes;
}

namespace {

// " (ca: tls/ca.pem, key: tls/key.pem)"; empty where none is named.
std::string FilesOf(const ClientOptions& options) {
  std::string files;
  const auto add = [&files](const char* name, const std::string& path) {
    if (!path.empty()) files += (files.empty() ? " (" : ", ") + std::string(name) + ": " + path;
  };
  if (options.tls) {
    add("ca", options.tls->ca);
    add("certificate", options.tls->certificate);
    add("key", options.tls->key);
  }
  return files.empty() ? files : files + ")";
}

}  // namespace

struct Handle::Hooks {
  static Handle* Of(const rd_kafka_t* client) { return static_cast<Handle*>(rd_kafka_opaque(client)); }

  static void Log(const rd_kafka_t* client, int level, const char*, const char* text) {
    const Handle* handle = Of(client);
    if (handle == nullptr || !handle->options_.log) return;
    const LogLevel ours = level <= 3 ? LogLevel::kError : level == 4 ? LogLevel::kWarning : level <= 6 ? LogLevel::kInfo : LogLevel::kDebug;
    handle->options_.log(ours, text);
  }
  static void Failed(rd_kafka_t* client, int code, const char* reason, void* opaque) {
    const auto* handle = static_cast<const Handle*>(opaque);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
      char text[kErrorBytes];
      code = rd_kafka_fatal_error(client, text, sizeof(text));
      return handle->NoteTrouble(code, text);
    }
    handle->NoteTrouble(code, reason);
  }
  // librdkafka says that a certificate was not accepted, and not why.
  static int Verify(rd_kafka_t*, const char* broker, std::int32_t, int* problem, int, const char*, std::size_t, char* text,
                    std::size_t text_size, void* opaque) {
    if (*problem == X509_V_OK) return 1;
    const char* why = X509_verify_cert_error_string(*problem);
    std::snprintf(text, text_size, "%s", why);
    const auto* handle = static_cast<const Handle*>(opaque);
    handle->NoteTrouble(RD_KAFKA_RESP_ERR__SSL, std::string(broker) + ": its certificate is not accepted: " + why);
    return 0;
  }
  static int Statistics(rd_kafka_t*, char* json, std::size_t size, void* opaque) {
    static_cast<const Handle*>(opaque)->options_.statistics({json, size});
    return 0;
  }
  static void Delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    const auto* handle = static_cast<const Handle*>(opaque);
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) handle->NoteSuccess();
    handle->callbacks_.delivered(handle->callbacks_.owner, message->err, rd_kafka_message_status(message), message->offset,
                                 message->_private);
  }
  static void Rebalanced(rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions, void* opaque) {
    const auto* handle = static_cast<const Handle*>(opaque);
    handle->callbacks_.rebalanced(handle->callbacks_.owner, client, code, partitions);
  }
};

Result<std::shared_ptr<Handle>> Handle::Make(const ClientOptions& options, Role role, Serving serving, const Settings& settings,
                                             Callbacks callbacks) {
  if (options.brokers.empty()) return Fail(ErrorKind::kInvalidArgument, "no Kafka broker is named; give at least one host:port");
  const std::shared_ptr<Handle> handle(new Handle(options, callbacks));
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char text[kErrorBytes];
  Settings all = SettingsOf(options);
  all.insert(all.end(), settings.begin(), settings.end());
  for (const auto& [name, value] : all) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text, sizeof(text)) == RD_KAFKA_CONF_OK) continue;
    rd_kafka_conf_destroy(conf);
    const std::string shown = IsSecret(name) ? std::string("the given value") : "\"" + value + "\"";
    return Fail(ErrorKind::kInvalidArgument,
                "Kafka client setting " + name + ": " + shown + " is not accepted" + (IsSecret(name) ? "" : std::string(": ") + text));
  }
  rd_kafka_conf_set_opaque(conf, handle.get());
  rd_kafka_conf_set_log_cb(conf, &Hooks::Log);
  rd_kafka_conf_set_error_cb(conf, &Hooks::Failed);
  if (options.tls) rd_kafka_conf_set_ssl_cert_verify_cb(conf, &Hooks::Verify);
  if (options.statistics) rd_kafka_conf_set_stats_cb(conf, &Hooks::Statistics);
  if (callbacks.delivered != nullptr) rd_kafka_conf_set_dr_msg_cb(conf, &Hooks::Delivered);
  if (callbacks.rebalanced != nullptr) rd_kafka_conf_set_rebalance_cb(conf, &Hooks::Rebalanced);
  handle->client_ = rd_kafka_new(role == Role::kProducer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, text, sizeof(text));
  if (handle->client_ == nullptr) {
    rd_kafka_conf_destroy(conf);
    return Fail(ErrorKind::kInvalidArgument,
                "the Kafka client for " + BrokersOf(options) + " cannot be made: " + text + "; check the files that `tls` names" + FilesOf(options));
  }
  if (serving == Serving::kThread) {
    handle->thread_ = std::thread([raw = handle.get()] {
      while (!raw->stopping_.load(std::memory_order_relaxed)) rd_kafka_poll(raw->client_, kServeMs);
    });
  }
  return handle;
}

Handle::~Handle() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  if (client_ != nullptr) rd_kafka_destroy(client_);
}

void Handle::NoteTrouble(int code, std::string_view reason) const {
  const std::lock_guard lock(mutex_);
  // What was noted first is the cause, what follows from it says less.
  if (SaysMore(trouble_code_) && (!SaysMore(code) || code == trouble_code_)) return;
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && trouble_code_ != 0) return;
  trouble_code_ = code;
  trouble_ = reason;
}

void Handle::NoteSuccess() const {
  const std::lock_guard lock(mutex_);
  trouble_code_ = 0;
}

std::optional<Error> Handle::trouble() const {
  const std::lock_guard lock(mutex_);
  if (trouble_code_ == 0) return std::nullopt;
  return MakeError(
      trouble_code_, "Kafka broker " + trouble_.substr(0, trouble_.find(": ")),
      trouble_.find(": ") == std::string::npos ? std::string_view(trouble_) : std::string_view(trouble_).substr(trouble_.find(": ") + 2));
}

Error Handle::Explain(int code, std::string_view what, std::string_view detail) const {
  Error error = MakeError(code, what, detail);
  if (!SaysNothing(code)) return error;
  const std::optional<Error> why = trouble();
  if (!why) {
    error.message += "; brokers " + BrokersOf(options_) + " did not answer in time";
    return error;
  }
  // That it timed out is unknown in effect; that the broker refused us is not.
  const bool refused = why->kind == ErrorKind::kUnauthenticated || why->kind == ErrorKind::kPermissionDenied;
  return {.kind = refused ? why->kind : error.kind, .message = std::string(what) + ": " + why->message};
}

Error Handle::Explain(rd_kafka_error_s* error, std::string_view what) const {
  const int code = rd_kafka_error_code(error);
  const std::string detail = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return Explain(code, what, detail);
}

Status Handle::Reach(std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const struct rd_kafka_metadata* metadata = nullptr;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(client_, 0, nullptr, &metadata, static_cast<int>(kLook.count()));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_metadata_destroy(metadata);
      NoteSuccess();
      return {};
    }
    const std::optional<Error> why = trouble();
    const bool hopeless = why && why->kind == ErrorKind::kUnauthenticated;
    if (hopeless || std::chrono::steady_clock::now() >= until) {
      Error error = Explain(code, "reaching Kafka at " + BrokersOf(options_));
      if (error.kind == ErrorKind::kDeadlineExceeded) error.kind = ErrorKind::kUnavailable;
      return std::unexpected(std::move(error));
    }
  }
}

TopicRef::TopicRef(std::shared_ptr<Handle> handle, const std::string& topic, std::optional<Codec> compression)
    : handle_(std::move(handle)) {
  rd_kafka_topic_conf_t* conf = nullptr;
  if (compression) {
    char text[kErrorBytes];
    conf = rd_kafka_default_topic_conf_dup(handle_->get());
    rd_kafka_topic_conf_set(conf, "compression.codec", std::string(CodecName(*compression)).c_str(), text, sizeof(text));
  }
  topic_ = std::shared_ptr<rd_kafka_topic_s>(rd_kafka_topic_new(handle_->get(), topic.c_str(), conf), [](rd_kafka_topic_t* made) {
    if (made != nullptr) rd_kafka_topic_destroy(made);
  });
}

}  // namespace sightline::kafka
