#include "sightline/ingest/intake.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <future>
#include <mutex>
#include <utility>

#include "sightline/base/text.h"
#include "sightline/ingest/framing.h"
#include "sightline/model/dead_letter.h"
#include "sightline/model/partitioner.h"

namespace sightline::ingest {
namespace {

constexpr std::size_t kRowsAtOnce = 16'384;
// Set in the part number of a dead-letter append, so that it can never be taken for a part of the data.
constexpr std::uint32_t kDeadLetterPart = 1U << 31;

// Not XXH3: a sender who could make two keys collide could make another's records vanish.
Hash128 KeyOf(std::string_view principal, std::string_view key) {
  std::string text(principal);
  text += '\0';
  text += key;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  Hash128 hash;
  std::memcpy(&hash.low, digest.data(), sizeof hash.low);
  std::memcpy(&hash.high, digest.data() + sizeof hash.low, sizeof hash.high);
  return hash;
}

// Line numbers of ascending places in a text, without reading any of it twice.
class LineCounter {
 public:
  explicit LineCounter(std::string_view text) : at_(text.data()) {}
  std::uint64_t LineOf(const char* place) {
    line_ += static_cast<std::uint64_t>(std::count(at_, place, '\n'));
    at_ = place;
    return line_;
  }

 private:
  const char* at_;
  std::uint64_t line_ = 1;
};

}  // namespace

struct Intake::Dataset {
  IntakeDataset spec;
  Partitioner partitioner{1};
  std::size_t partition_column = 0;
  ops::Counter* accepted = nullptr;
  ops::Counter* malformed = nullptr;
  ops::Counter* invalid = nullptr;
  ops::Counter* bytes = nullptr;
  ops::Counter* repeated = nullptr;

  // A decoder and what it fills are used by one offer at a time and kept warm in between.
  struct Judge {
    gate::Decoder decoder;
    gate::Decoded decoded;
  };
  std::unique_ptr<Judge> Borrow() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto judge = std::move(idle.back());
        idle.pop_back();
        return judge;
      }
    }
    return std::make_unique<Judge>(Judge{gate::Decoder(*spec.contract, spec.limits), {}});
  }
  void GiveBack(std::unique_ptr<Judge> judge) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(judge));
  }

 private:
  std::mutex mutex;
  std::vector<std::unique_ptr<Judge>> idle;
};

// An offer on its way: everything that the bus looks at until it has answered.
struct Intake::Post {
  Offer offer;
  Done done;
  Dataset* dataset = nullptr;
  std::shared_ptr<std::atomic<std::uint64_t>> bytes_in_flight;
  std::uint64_t held = 0;

  std::vector<std::vector<std::string_view>> parts;  // accepted records by partition
  std::string letters;                               // encoded one after the other
  std::vector<std::size_t> letter_ends;
  std::vector<std::string_view> letter_views;
  Receipt receipt;

  std::mutex mutex;
  std::size_t pending = 0;
  std::size_t appended = 0;
  std::size_t repeated = 0;
  std::optional<Error> error;

  ~Post() { *bytes_in_flight -= held; }

  bus::Encoding encoding() const { return offer.format == Format::kProtobuf ? bus::Encoding::kProtobuf : bus::Encoding::kJson; }

  void OnAppended(Result<bus::Appended> result) {
    {
      const std::lock_guard lock(mutex);
      if (!result) {
        if (!error) error = std::move(result).error();
      } else {
        ++appended;
        if (result->repeated) ++repeated;
      }
      if (--pending > 0) return;
    }
    Answer();
  }

  void Answer() {
    if (error) {
      if (error->kind == ErrorKind::kAlreadyExists) {
        error->message = "this Idempotency-Key came with another body before; use a new key for new records";
      } else if (appended > 0) {
        error->message +=
            "; a part of the request is stored: send all of it again with the same Idempotency-Key, so that nothing counts twice";
      }
      return done(std::unexpected(std::move(*error)));
    }
    receipt.repeated = appended > 0 && repeated == appended;
    if (receipt.repeated) {
      dataset->repeated->Add();
    } else {
      dataset->accepted->Add(receipt.accepted);
      dataset->malformed->Add(receipt.malformed);
      dataset->invalid->Add(receipt.invalid);
      dataset->bytes->Add(offer.body.size());
    }
    done(std::move(receipt));
  }
};

Result<Format> FormatOfMediaType(std::string_view media_type) {
  if (media_type.empty() || media_type == "application/x-ndjson" || media_type == "application/ndjson" ||
      media_type == "application/jsonl") {
    return Format::kLines;
  }
  if (media_type == "application/json") return Format::kJson;
  if (media_type == "application/x-protobuf" || media_type == "application/protobuf") return Format::kProtobuf;
  return Fail(ErrorKind::kInvalidArgument,
              "the Content-Type '" + std::string(media_type) +
                  "' is not known here; send application/x-ndjson, application/json or application/x-protobuf");
}

Result<Receipt> TakeAndWait(Ingest& ingest, Offer offer) {
  auto answer = std::make_shared<std::promise<Result<Receipt>>>();
  auto future = answer->get_future();
  ingest.Take(std::move(offer), [answer](Result<Receipt> receipt) { answer->set_value(std::move(receipt)); });
  return future.get();
}

Intake::Intake(bus::Bus& bus, const runtime::Clock& clock, ops::Metrics& metrics, IntakeOptions options)
    : bus_(bus), clock_(clock), options_(options) {
  collector_ = metrics.AddCollector([bytes = bytes_in_flight_](ops::Metrics::Sink& sink) {
    sink.GaugeSample("sightline_ingest_in_flight_bytes", "Bytes offered and not durable yet.", {}, static_cast<double>(bytes->load()));
  });
}

Intake::~Intake() = default;

Result<std::unique_ptr<Intake>> Intake::Make(bus::Bus& bus, const runtime::Clock& clock, ops::Metrics& metrics,
                                             std::vector<IntakeDataset> datasets, IntakeOptions options) {
  std::unique_ptr<Intake> intake(new Intake(bus, clock, metrics, options));
  for (const auto& dataset : datasets) SL_TRY(intake->Add(dataset, metrics));
  return intake;
}

Status Intake::Add(const IntakeDataset& spec, ops::Metrics& metrics) {
  const int column = spec.contract->schema.Find(spec.partition_by);
  if (column < 0) {
    return Fail(ErrorKind::kInvalidArgument, "dataset " + spec.name + ": partition_by names '" + spec.partition_by +
                                                 "', which is no field of its contract " + spec.contract->name);
  }
  SL_TRY(bus_.EnsureTopic(spec.dead_letters));
  auto dataset = std::make_unique<Dataset>();
  dataset->spec = spec;
  dataset->partitioner = Partitioner(spec.partitions);
  dataset->partition_column = static_cast<std::size_t>(column);
  const auto records = [&](Verdict verdict, std::string_view name) {
    static_cast<void>(verdict);
    return metrics.AddCounter("sightline_ingest_records_total", "Records offered to a dataset by what ingest said of them.",
                              {{"dataset", spec.name}, {"verdict", std::string(name)}});
  };
  dataset->accepted = records(Verdict::kCounted, "accepted");
  dataset->malformed = records(Verdict::kMalformed, VerdictName(Verdict::kMalformed));
  dataset->invalid = records(Verdict::kInvalid, VerdictName(Verdict::kInvalid));
  dataset->bytes = metrics.AddCounter("sightline_ingest_bytes_total", "Bytes of bodies that were taken.", {{"dataset", spec.name}});
  dataset->repeated =
      metrics.AddCounter("sightline_ingest_repeated_total", "Requests that were taken before, by their key.", {{"dataset", spec.name}});
  datasets_.emplace(spec.name, std::move(dataset));
  return {};
}

Status Intake::Hold(Post& post, std::uint64_t bytes) {
  if (bytes_in_flight_->fetch_add(bytes) + bytes > options_.bytes_in_flight_max) {
    *bytes_in_flight_ -= bytes;
    return Fail(ErrorKind::kResourceExhausted, "the log can't keep up with what is being sent; send it again in a moment");
  }
  post.held += bytes;
  return {};
}

void Intake::Take(Offer offer, Done done) {
  const auto found = datasets_.find(offer.dataset);
  if (found == datasets_.end()) {
    std::vector<std::string_view> names;
    for (const auto& [name, dataset] : datasets_) names.push_back(name);
    std::string message = "there is no dataset '" + offer.dataset + "'";
    if (const auto near = DidYouMean(offer.dataset, names); !near.empty()) message += "; did you mean '" + std::string(near) + "'?";
    return done(Fail(ErrorKind::kNotFound, std::move(message)));
  }
  auto post = std::make_shared<Post>();
  post->offer = std::move(offer);
  post->dataset = found->second.get();
  post->bytes_in_flight = bytes_in_flight_;
  if (const auto held = Hold(*post, post->offer.body.size()); !held) return done(std::unexpected(held.error()));
  if (const auto judged = Judge(*post); !judged) return done(std::unexpected(judged.error()));
  post->done = std::move(done);
  AppendAll(post);
}

namespace {

// Turns what one decode gave into parts and dead letters.
class Sorter {
 public:
  Sorter(const Offer& offer, Receipt& receipt, std::size_t notes_max, WallTime now)
      : offer_(offer), receipt_(receipt), notes_max_(notes_max), now_(now), lines_(offer.body) {}

  // `records` are the framed records of the input, empty for lines.
  void TakeRejects(const gate::Decoded& decoded, std::span<const std::string_view> records, std::string& letters,
                   std::vector<std::size_t>& ends) {
    for (const gate::Reject& reject : decoded.rejects) {
      ++(reject.verdict == Verdict::kMalformed ? receipt_.malformed : receipt_.invalid);
      if (receipt_.rejects.size() < notes_max_) {
        const std::uint64_t line = records.empty() ? lines_.LineOf(reject.bytes.data()) : receipt_.received + reject.record + 1;
        receipt_.rejects.push_back({line, reject.verdict, reject.field, reject.cause});
      }
      DeadLetter letter;
      letter.reason = reject.verdict;
      letter.encoding = offer_.format == Format::kProtobuf ? RecordEncoding::kProtobuf : RecordEncoding::kJson;
      letter.received = now_;
      letter.topic = offer_.dataset;
      letter.partition = Partition(-1);
      letter.offset = Offset(static_cast<std::int64_t>(receipt_.received + reject.record));
      letter.field = reject.field;
      letter.cause = reject.cause;
      letter.request_id = offer_.request_id;
      letter.original = reject.bytes.substr(0, kDeadLetterOriginalMax);
      letter.original_size = records.empty() ? LineSize(reject.bytes) : records[reject.record].size();
      EncodeDeadLetter(letter, letters);
      ends.push_back(letters.size());
    }
    receipt_.received += decoded.seen;
    receipt_.accepted += decoded.rows.rows;
  }

 private:
  // The decoder cuts what is too long; the letter says how long it was.
  std::size_t LineSize(std::string_view begin) const {
    const char* end = offer_.body.data() + offer_.body.size();
    const char* cut = begin.data() + begin.size();
    const void* newline = cut == end ? nullptr : std::memchr(cut, '\n', static_cast<std::size_t>(end - cut));
    if (newline != nullptr) end = static_cast<const char*>(newline);
    std::size_t size = static_cast<std::size_t>(end - begin.data());
    // What a cut did not take away is white space at the line's end, such as \r.
    if (size - begin.size() <= 1) size = begin.size();
    return size;
  }

  const Offer& offer_;
  Receipt& receipt_;
  const std::size_t notes_max_;
  const WallTime now_;
  LineCounter lines_;
};

}  // namespace

Status Intake::Judge(Post& post) {
  Dataset& dataset = *post.dataset;
  const std::string_view body = post.offer.body;
  std::vector<std::string_view> records;
  if (post.offer.format == Format::kJson) SL_TRY(SplitJson(body, options_.records_max, records));
  if (post.offer.format == Format::kProtobuf) SL_TRY(SplitDelimited(body, options_.records_max, records));

  post.parts.resize(static_cast<std::size_t>(dataset.partitioner.partitions()));
  auto judge = dataset.Borrow();
  gate::Decoded& decoded = judge->decoded;
  Sorter sorter(post.offer, post.receipt, options_.rejects_noted_max, clock_.Now());
  const auto sort = [&](std::span<const std::string_view> framed) -> Status {
    const Column& by = decoded.rows.columns[dataset.partition_column];
    for (std::size_t row = 0; row < decoded.rows.rows; ++row) {
      post.parts[static_cast<std::size_t>(dataset.partitioner.Of(by, row).value)].push_back(decoded.records[row]);
    }
    const std::size_t before = post.letters.size();
    sorter.TakeRejects(decoded, framed, post.letters, post.letter_ends);
    return Hold(post, post.letters.size() - before);
  };
  Status sorted;
  if (post.offer.format == Format::kLines) {
    std::size_t at = 0;
    while (sorted && at < body.size()) {
      const std::size_t used = judge->decoder.DecodeLines(body.substr(at), true, kRowsAtOnce, decoded);
      at += used;
      sorted = sort({});
      if (sorted && post.receipt.received > options_.records_max) {
        sorted = Fail(ErrorKind::kOutOfRange,
                      "more than " + std::to_string(options_.records_max) + " records in one request; send them in parts");
      }
    }
  } else {
    for (std::size_t at = 0; sorted && at < records.size(); at += kRowsAtOnce) {
      const auto some = std::span(records).subspan(at, std::min(kRowsAtOnce, records.size() - at));
      judge->decoder.DecodeRecords(post.encoding(), some, decoded);
      sorted = sort(some);
    }
  }
  dataset.GiveBack(std::move(judge));
  return sorted;
}

void Intake::AppendAll(const std::shared_ptr<Post>& post) {
  const Dataset& dataset = *post->dataset;
  std::optional<bus::IdempotencyTag> tag;
  if (!post->offer.idempotency_key.empty()) {
    tag = bus::IdempotencyTag{KeyOf(post->offer.principal, post->offer.idempotency_key), 0, Crc32c(post->offer.body)};
  }
  std::size_t from = 0;
  for (const std::size_t end : post->letter_ends) {
    post->letter_views.push_back(std::string_view(post->letters).substr(from, end - from));
    from = end;
  }
  // One more than the appends, so that the answer is not given before the last one has begun.
  post->pending = 1 + (post->letter_views.empty() ? 0 : 1) +
                  static_cast<std::size_t>(std::ranges::count_if(post->parts, [](const auto& part) { return !part.empty(); }));
  const auto append = [&](const std::string& topic, std::int32_t partition, const bus::AppendBatch& batch) {
    bus_.Append(TopicPartition{topic, Partition(partition)}, batch,
                [post](Result<bus::Appended> result) { post->OnAppended(std::move(result)); });
  };
  for (std::size_t partition = 0; partition < post->parts.size(); ++partition) {
    if (post->parts[partition].empty()) continue;
    bus::AppendBatch batch;
    batch.encoding = post->encoding();
    batch.values = post->parts[partition];
    batch.idempotency = tag;
    if (tag) batch.idempotency->part = static_cast<std::uint32_t>(partition);
    append(dataset.spec.topic, static_cast<std::int32_t>(partition), batch);
  }
  if (!post->letter_views.empty()) {
    const std::uint64_t hash = tag ? tag->key.low : Hash64(post->offer.request_id);
    const auto partition = static_cast<std::int32_t>(hash % static_cast<std::uint64_t>(std::max(1, dataset.spec.dead_letters.partitions)));
    bus::AppendBatch batch;
    batch.encoding = bus::Encoding::kBinary;
    batch.values = post->letter_views;
    batch.idempotency = tag;
    if (tag) batch.idempotency->part = kDeadLetterPart | static_cast<std::uint32_t>(partition);
    append(dataset.spec.dead_letters.name, partition, batch);
  }
  bool answer = false;
  {
    const std::lock_guard lock(post->mutex);
    answer = --post->pending == 0;
  }
  if (answer) post->Answer();
}

}  // namespace sightline::ingest
