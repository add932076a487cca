#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <thread>

#include "connectors/kafka/gate_session_internal.h"
#include "connectors/kafka/topic_settings.h"

namespace sightline::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kAgain{2};
constexpr milliseconds kAfterAbort{200};
constexpr milliseconds kPublishEvery{200};
constexpr std::chrono::seconds kTroubleShown{30};
constexpr std::size_t kRecordsMax = 20'000;  // of one partition in a transaction
constexpr std::uint64_t kRecordBytes = 64;    // what a record takes beside its value, about
constexpr std::uint64_t kLetterBytes = 1024;  // what a dead letter takes beside its original and its texts, at most
constexpr std::uint64_t kBatchBytes = 1'000'000;
constexpr std::string_view kOurHeaders = "sl-";
constexpr RecordHeader kBinary[] = {{kEncodingHeader, "binary"}};

// A regular expression, as Subscribe takes it, for a pattern with '*'; a topic's name as it is.
std::string SubscriptionOf(const std::string& from) {
  if (from.find('*') == std::string::npos) return from;
  std::string expression = "^";
  for (const char c : from) {
    if (c == '*') {
      expression += ".*";
    } else {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
      if (!plain) expression += '\\';
      expression += c;
    }
  }
  return expression + "$";
}

// When the broker took the record in. Where the topic keeps its producers' times, the record's: a producer's clock that is ahead must not
// make its records come later than they are read.
AppendTime AppendTimeOf(const rd_kafka_message_t& message, WallTime now) {
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  const std::int64_t time = rd_kafka_message_timestamp(&message, &type);
  if (time < 0 || type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) return AppendTime(now.value);
  return AppendTime(type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? time : std::min(time, now.value));
}

// Headers that mean something in a topic of ours are not taken from others.
void AddHeadersOfOthers(const rd_kafka_message_t& message, std::vector<RecordHeader>& headers) {
  rd_kafka_headers_t* theirs = nullptr;
  if (rd_kafka_message_headers(&message, &theirs) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(theirs, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    if (std::string_view(name).starts_with(kOurHeaders)) continue;
    headers.push_back({name, std::string_view(static_cast<const char*>(value), value == nullptr ? 0 : size)});
  }
}

std::string Place(const TopicPartition& partition) { return partition.topic + "/" + std::to_string(partition.partition.value); }

}  // namespace

void GateShared::Wait(milliseconds time) {
  std::unique_lock lock(wake_mutex);
  wake.wait_for(lock, time, [this] { return woken || stopping; });
  woken = false;
}

void GateShared::Wake() {
  {
    const std::lock_guard lock(wake_mutex);
    woken = true;
  }
  wake.notify_all();
}

Result<std::unique_ptr<GateSession>> GateSession::Open(GateShared& shared) {
  std::unique_ptr<GateSession> session(new GateSession(shared));
  SL_TRY(session->LookAtTopics());
  TransactionOptions transactions;
  transactions.transactional_id = shared.bus.FullName("gate." + shared.dataset.name + "." + shared.options.instance);
  transactions.transaction_timeout = shared.options.transaction_timeout;
  transactions.batch_bytes = std::min({session->accepted_bytes_max_, session->letter_bytes_max_, kBatchBytes});
  SL_ASSIGN_OR_RETURN(session->producer_, TransactionalProducer::Make(shared.bus.options().client, transactions));
  // Before the group says where it stands: what a session before left open is decided then.
  TransactionStatus ready = session->Again([&] { return session->producer_->Init(shared.options.transaction_timeout); });
  if (!ready) return std::unexpected(std::move(ready.error().error));
  SL_TRY(session->Join());
  return session;
}

GateSession::~GateSession() {
  if (consumer_ != nullptr) consumer_->Close();
}

// How large a record may be that goes into our topics.
Status GateSession::LookAtTopics() {
  KafkaBus& bus = shared_.bus;
  accepted_topic_ = bus.FullName(shared_.dataset.topic);
  letters_topic_ = bus.FullName(shared_.dataset.dead_letters.name);
  SL_ASSIGN_OR_RETURN(const TopicConfigs accepted, bus.admin().DescribeTopic(accepted_topic_));
  SL_ASSIGN_OR_RETURN(const TopicConfigs letters, bus.admin().DescribeTopic(letters_topic_));
  accepted_bytes_max_ = std::min(bus.options().client.message_bytes_max, BatchBytesMax(accepted));
  letter_bytes_max_ = std::min(bus.options().client.message_bytes_max, BatchBytesMax(letters));
  return {};
}

Status GateSession::Join() {
  GroupConsumer::Events events;
  events.assigned = [this](std::vector<GroupConsumer::Assigned>& partitions) { Assigned(partitions); };
  // Both come from within Poll, when no transaction is under way: there is nothing to commit or to drop but what is held.
  events.revoked = [this](const std::vector<TopicPartition>& partitions) { Gone(partitions); };
  events.lost = [this](const std::vector<TopicPartition>& partitions) { Gone(partitions); };
  events.woken = [shared = &shared_](const TopicPartition&) { shared->Wake(); };
  GroupOptions options;
  options.group = shared_.group();
  options.session_timeout = shared_.options.session_timeout;
  options.heartbeat_interval = std::min(options.heartbeat_interval, options.session_timeout / 3);
  options.topics_refresh = shared_.options.topics_refresh;
  options.consumer.queue_bytes_max = shared_.options.batch_bytes_max;
  options.writers = Writers::kOthers;
  SL_ASSIGN_OR_RETURN(consumer_, GroupConsumer::Make(shared_.bus.options().client, options, std::move(events)));
  const std::vector<std::string> topics = {SubscriptionOf(shared_.dataset.from)};
  return consumer_->Subscribe(topics);
}

void GateSession::Assigned(std::vector<GroupConsumer::Assigned>& partitions) {
  group_trouble_.clear();
  for (GroupConsumer::Assigned& one : partitions) {
    shared_.log.Info("judges a partition of others",
                     {{"dataset", shared_.dataset.name}, {"topic", one.partition.topic}, {"partition", one.partition.partition.value}});
    sources_[one.partition] = Source();
    const auto restart = shared_.restarts.find(one.partition);
    if (restart == shared_.restarts.end()) continue;
    // Somebody else may have had it meanwhile.
    const std::vector<TopicPartition> asked = {one.partition};
    const auto stands = shared_.bus.positions().Committed(shared_.group(), asked);
    if (stands && !stands->empty()) one.at = std::max(stands->front().next, restart->second);
    shared_.restarts.erase(restart);
  }
}

void GateSession::Gone(const std::vector<TopicPartition>& partitions) {
  for (const TopicPartition& partition : partitions) sources_.erase(partition);
}

// What the client asks to be tried again is, until the worker is to stop.
template <typename Call>
TransactionStatus GateSession::Again(Call call) const {
  for (;;) {
    TransactionStatus done = call();
    if (done || done.error().fault != Fault::kRetriable || shared_.stopping) return done;
    std::this_thread::sleep_for(kAgain);
  }
}

Result<bool> GateSession::Step() {
  if (const Status polled = consumer_->Poll(milliseconds(0)); !polled) NoteGroupTrouble(polled.error());
  bool moved = false;
  if (steady_clock::now() >= pause_until_) {
    SL_TRY(Fill());
    if (TransactionStatus done = Move(); !done) {
      SL_TRY(Recover(std::move(done).error()));
    } else {
      moved = begun_;
      if (begun_) Settle();
    }
  }
  Publish();
  return moved;
}

// Most of it mends by itself, and nobody says when. What the cluster says once alone is shown until partitions come or go on.
void GateSession::NoteGroupTrouble(const Error& error) {
  std::string what = error.message;
  if (error.kind == ErrorKind::kNotFound) {
    what = "no topic named " + shared_.dataset.from + " is there yet, or none that this user may describe; it is taken in as soon as it is";
  }
  if (group_trouble_ != what) shared_.log.Warning("a gate's group has trouble", {{"dataset", shared_.dataset.name}, {"error", what}});
  group_trouble_ = std::move(what);
  const bool lasting = error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kPermissionDenied;
  group_trouble_until_ = lasting ? steady_clock::time_point::max() : steady_clock::now() + kTroubleShown;
}

// The next batch of each partition whose last one is used up.
Status GateSession::Fill() {
  for (auto& [partition, source] : sources_) {
    RecordReader* const reader = consumer_->Reader(partition);
    if (source.held || source.halted || reader == nullptr) continue;
    Result<RecordReader::Polled> polled = reader->Poll(milliseconds(0));
    if (!polled) {
      SL_TRY(NoteReadError(partition, source, polled.error()));
      continue;
    }
    if (!polled->batch) continue;
    source.held = std::move(polled->batch);
    source.done = source.taken = 0;
  }
  return {};
}

Status GateSession::NoteReadError(const TopicPartition& partition, Source& source, const Error& error) {
  const std::string before = std::exchange(source.trouble, error.message);
  if (error.kind != ErrorKind::kOutOfRange) {
    if (before != error.message)
      shared_.log.Warning("a partition of others can't be read", {{"dataset", shared_.dataset.name}, {"error", error.ToString()}});
    return {};
  }
  const Offset position = consumer_->Reader(partition)->position();
  const std::vector<TopicPartition> asked = {partition};
  SL_ASSIGN_OR_RETURN(const std::vector<Offset> starts, shared_.bus.admin().Starts(asked));
  if (position >= starts.front()) {
    // Going on anywhere could take records in twice.
    source.halted = true;
    source.trouble = Place(partition) + " ends before offset " + std::to_string(position.value) +
                     ", up to which its records were judged: the topic was made anew, or its log was cut. Nothing more of it is judged. To "
                     "judge what is there now, stop the gate and set the offsets of the group " +
                     shared_.group() + " to the earliest";
    shared_.log.Error("a partition of others is not what it was",
                      {{"dataset", shared_.dataset.name}, {"error", source.trouble}, {"client", error.message}});
    return {};
  }
  const auto lost = static_cast<std::uint64_t>(starts.front() - position);
  shared_.restarts[partition] = starts.front();
  {
    const std::lock_guard lock(shared_.status_mutex);
    shared_.status.lost += lost;
  }
  shared_.log.Error("records of others were removed by their topic's retention before they were judged",
                    {{"dataset", shared_.dataset.name},
                     {"topic", partition.topic},
                     {"partition", partition.partition.value},
                     {"from_offset", position.value},
                     {"to_offset", starts.front().value}});
  return Fail(ErrorKind::kOutOfRange, Place(partition) + ": offsets " + std::to_string(position.value) + " to " +
                                          std::to_string(starts.front().value - 1) +
                                          " were removed by retention before they were judged; the gate goes on behind them");
}

// One transaction of what is held, if anything is. Partitions take turns in who comes first.
TransactionStatus GateSession::Move() {
  std::uint64_t bytes = 0;
  pending_ = Counts();
  const auto take = [&](Sources::iterator from, Sources::iterator to) -> TransactionStatus {
    for (auto at = from; at != to && bytes < shared_.options.batch_bytes_max; ++at) {
      if (!at->second.held) continue;
      if (TransactionStatus taken = Take(at->first, at->second, bytes); !taken) return taken;
      first_ = at->first;
    }
    return {};
  };
  const auto turn = sources_.upper_bound(first_);
  if (TransactionStatus taken = take(turn, sources_.end()); !taken) return taken;
  if (TransactionStatus taken = take(sources_.begin(), turn); !taken) return taken;
  return begun_ ? Finish() : TransactionStatus();
}

TransactionStatus GateSession::Take(const TopicPartition& partition, Source& source, std::uint64_t& bytes) {
  const std::span<const std::string_view> values = source.held->values;
  std::uint64_t size = 0;
  std::size_t end = source.done;
  for (; end < values.size() && end - source.done < kRecordsMax; ++end) {
    const std::uint64_t more = values[end].size() + kRecordBytes;
    if (bytes + size > 0 && bytes + size + more > shared_.options.batch_bytes_max) break;
    size += more;
  }
  if (end == source.done) return {};
  if (const Status may = shared_.registry.MayJudge(partition.topic); !may) {
    source.trouble = may.error().message;
    return {};
  }
  gate::RecordJudge& judge = *shared_.judge;
  if (const Status judged = judge.Judge(values.subspan(source.done, end - source.done)); !judged) {
    source.trouble = judged.error().message;
    return {};
  }
  source.trouble.clear();
  if (!begun_) {
    if (TransactionStatus begun = Again([this] { return producer_->Begin(); }); !begun) return begun;
    begun_ = true;
  }
  const Slice slice{.partition = partition, .source = source, .reader = *consumer_->Reader(partition), .now = shared_.clock.Now()};
  for (const gate::AcceptedRecord& record : judge.accepted()) {
    if (TransactionStatus written = Accept(slice, record); !written) return written;
  }
  for (const gate::Reject& reject : judge.rejects()) {
    if (TransactionStatus written = Refuse(slice, reject); !written) return written;
  }
  source.taken = end;
  bytes += size;
  return {};
}

TransactionStatus GateSession::Accept(const Slice& slice, const gate::AcceptedRecord& record) {
  const rd_kafka_message_t& message = slice.reader.message(slice.source.done + record.record);
  append_time_ = std::to_string(AppendTimeOf(message, slice.now).value);
  headers_.clear();
  headers_.push_back({kAppendTimeHeader, append_time_});
  if (record.encoding == bus::Encoding::kProtobuf) headers_.push_back({kEncodingHeader, "protobuf"});
  AddHeadersOfOthers(message, headers_);
  OutRecord out{.value = record.value, .null_value = false, .key = std::nullopt, .headers = headers_};
  if (message.key != nullptr) out.key = std::string_view(static_cast<const char*>(message.key), message.key_len);
  if (out.size() > accepted_bytes_max_) {
    return Refuse(slice, {.record = record.record,
                          .verdict = Verdict::kInvalid,
                          .field = {},
                          .cause = "cannot be taken over: with key and headers the record takes " + std::to_string(out.size()) +
                                   " bytes, topic " + accepted_topic_ + " takes at most " + std::to_string(accepted_bytes_max_) +
                                   " (max.message.bytes of the topic, drivers.bus.message_max)",
                          .bytes = {}});
  }
  ++pending_.accepted;
  const std::optional<Codec> codec = CodecOf(shared_.dataset.compression);
  return Again([&] { return producer_->Produce(accepted_topic_, record.partition, out, codec); });
}

TransactionStatus GateSession::Refuse(const Slice& slice, const gate::Reject& reject) {
  const TopicPartition& from = slice.partition;
  const std::size_t i = slice.source.done + reject.record;
  const gate::RecordOrigin origin{.topic = from.topic,
                                  .partition = from.partition,
                                  .offset = slice.source.held->offset(i),
                                  .appended = AppendTimeOf(slice.reader.message(i), slice.now)};
  // The letter must find room even where its original just did.
  const std::uint64_t beside = kLetterBytes + reject.cause.size() + reject.field.size() + from.topic.size();
  const std::uint64_t original_max = letter_bytes_max_ - std::min(letter_bytes_max_, beside);
  letter_.clear();
  shared_.judge->EncodeLetter(reject, slice.source.held->values[i], origin, original_max, letter_);
  ++(reject.verdict == Verdict::kMalformed ? pending_.malformed : pending_.invalid);
  const Partition to(from.partition.value % std::max(1, shared_.dataset.dead_letters.partitions));
  const OutRecord out{.value = letter_, .null_value = false, .key = std::nullopt, .headers = kBinary};
  return Again([&] { return producer_->Produce(letters_topic_, to, out); });
}

TransactionStatus GateSession::Pass(GateStep step) const {
  if (!shared_.options.step) return {};
  const Status passed = shared_.options.step(step);
  if (passed) return {};
  return std::unexpected(TransactionError{.fault = Fault::kFatal, .error = passed.error()});
}

TransactionStatus GateSession::Finish() {
  if (TransactionStatus passed = Pass(GateStep::kProduced); !passed) return passed;
  std::vector<GroupOffset> offsets;
  for (const auto& [partition, source] : sources_) {
    if (source.taken == source.done || !source.held) continue;
    const bool all = source.taken == source.held->values.size();
    offsets.push_back({partition, all ? source.held->end() : source.held->offset(source.taken), ""});
  }
  // The member as it is now: partitions come and go in Poll alone, and a member that is none any more is fenced by its generation.
  const GroupMetadata member = consumer_->Metadata();
  const milliseconds timeout = shared_.options.transaction_timeout;
  if (TransactionStatus sent = Again([&] { return producer_->SendOffsets(offsets, member, timeout); }); !sent) return sent;
  if (TransactionStatus passed = Pass(GateStep::kOffsetsSent); !passed) return passed;
  if (TransactionStatus committed = Again([&] { return producer_->Commit(timeout); }); !committed) return committed;
  return Pass(GateStep::kCommitted);
}

// After what leaves the producer usable nothing of the transaction is there, and it is begun anew from the same batches. After anything
// else the session ends: what became of the transaction is to be read from the group's offsets.
Status GateSession::Recover(TransactionError failed) {
  Error error = std::move(failed.error);
  if (const std::optional<Error> cause = producer_->last_failure()) {
    error.message += "; " + cause->message;
    error.kind = cause->kind;
  }
  if (failed.fault != Fault::kAbortable) return std::unexpected(std::move(error));
  if (const TransactionStatus aborted = Again([&] { return producer_->Abort(shared_.options.transaction_timeout); }); !aborted) {
    return std::unexpected(aborted.error().error);
  }
  begun_ = false;
  for (auto& [partition, source] : sources_) source.taken = source.done;
  // A topic takes less than it did: its limits are looked at again.
  if (error.kind == ErrorKind::kInvalidArgument) return std::unexpected(std::move(error));
  shared_.log.Info("a gate's transaction was given up and is tried again",
                   {{"dataset", shared_.dataset.name}, {"error", error.ToString()}});
  group_trouble_ = error.message;
  group_trouble_until_ = steady_clock::now() + kTroubleShown;
  pause_until_ = steady_clock::now() + kAfterAbort;
  return {};
}

// The transaction is committed.
void GateSession::Settle() {
  begun_ = false;
  group_trouble_.clear();
  for (auto& [partition, source] : sources_) {
    if (!source.held) continue;
    source.done = source.taken;
    if (source.done == source.held->values.size()) source.held.reset();
  }
  TellReaders();
  const std::lock_guard lock(shared_.status_mutex);
  GateStatus& status = shared_.status;
  status.accepted += pending_.accepted;
  status.malformed += pending_.malformed;
  status.invalid += pending_.invalid;
  status.in += pending_.accepted + pending_.malformed + pending_.invalid;
  ++status.transactions;
}

// Readers in this process need not ask the broker. The record that ends the transaction takes an offset, too.
void GateSession::TellReaders() {
  const std::size_t prefix = shared_.bus.options().prefix.size();
  for (const auto& [partition, end] : producer_->Ends()) {
    if (end > Offset(0)) shared_.bus.NoteEnd({partition.topic.substr(prefix), partition.partition}, end + 1);
  }
}

void GateSession::Publish() {
  const auto now = steady_clock::now();
  if (now - published_ < kPublishEvery) return;
  published_ = now;
  if (now > group_trouble_until_) group_trouble_.clear();
  std::int64_t lag = 0;
  std::string trouble = group_trouble_;
  for (const auto& [partition, source] : sources_) {
    const RecordReader* const reader = consumer_->Reader(partition);
    if (reader == nullptr) continue;
    const Offset passed = std::max(reader->position(), consumer_->Passed(partition).value_or(Offset(0)));
    const Offset position = source.held ? source.held->offset(source.done) : passed;
    const Offset end = consumer_->KnownEnd(partition).value_or(position);
    lag += std::max<std::int64_t>(0, end - position);
    if (!source.trouble.empty()) trouble = source.trouble;
  }
  const std::lock_guard lock(shared_.status_mutex);
  GateStatus& status = shared_.status;
  status.partitions = sources_.size();
  status.lag = lag;
  status.registry_answers = !shared_.registry.trouble().has_value();
  if (trouble.empty() && !status.registry_answers) trouble = shared_.registry.trouble()->message;
  status.error = std::move(trouble);
}

}  // namespace sightline::kafka
