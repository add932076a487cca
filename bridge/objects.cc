#include "bridge/objects.h"

#include <atomic>
#include <limits>

#include "bridge/include/sightline_bridge.h"
#include "sightline/base/text.h"
#include "sightline/stores/objects/part_sizes.h"

namespace sightline::bridge {
namespace {

using stores::ByteRange;
using stores::Object;
using stores::ObjectInfo;
using stores::PutCondition;

static_assert(SL_INVALID_ARGUMENT == static_cast<int>(ErrorKind::kInvalidArgument) + 1);
static_assert(SL_OUT_OF_RANGE == static_cast<int>(ErrorKind::kOutOfRange) + 1);
static_assert(SL_UNAVAILABLE == static_cast<int>(ErrorKind::kUnavailable) + 1);
static_assert(SL_INTERNAL == static_cast<int>(ErrorKind::kInternal) + 1);

sl_text TextOf(std::string_view text) { return {.data = text.data(), .size = text.size()}; }
std::string StringOf(const sl_text& text) { return text.size == 0 ? std::string() : std::string(text.data, text.size); }

// An error of the bridge while it is filled in.
class Failure {
 public:
  Failure() = default;
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;
  ~Failure() { sl_error_clear(&error_); }
  sl_error* get() { return &error_; }
  std::unexpected<Error> Take() const { return Fail(static_cast<ErrorKind>(error_.kind - 1), std::string(error_.message, error_.size)); }

 private:
  sl_error error_{.kind = SL_OK, .message = nullptr, .size = 0};
};

ObjectInfo InfoOf(const sl_object& object) {
  return {.key = StringOf(object.key), .etag = StringOf(object.etag), .size = object.size, .modified = WallTime(object.modified_ms)};
}

void TakeInfo(void* context, const sl_object* object) { *static_cast<ObjectInfo*>(context) = InfoOf(*object); }
void AddInfo(void* context, const sl_object* object) { static_cast<std::vector<ObjectInfo>*>(context)->push_back(InfoOf(*object)); }
void TakeObject(void* context, const sl_object* object) { static_cast<Object*>(context)->info = InfoOf(*object); }

char* MakeRoom(void* context, std::uint64_t size) {
  std::string& bytes = static_cast<Object*>(context)->bytes;
  try {
    // What comes from the service is written over all of it: no need to fill it first.
    bytes.resize_and_overwrite(size, [size](char*, std::size_t) { return size; });
  } catch (const std::exception&) {  // no memory, or more than a string can hold
    return nullptr;
  }
  return bytes.data();
}

std::int32_t ConditionOf(const PutCondition& condition) {
  switch (condition.kind()) {
    case PutCondition::Kind::kAnyhow: return SL_PUT_ANYHOW;
    case PutCondition::Kind::kIfAbsent: return SL_PUT_IF_ABSENT;
    case PutCondition::Kind::kIfMatch: return SL_PUT_IF_MATCH;
  }
  return SL_PUT_ANYHOW;
}

class Lister final : public stores::ObjectLister {
 public:
  explicit Lister(sl_listing* listing) : listing_(listing) {}
  Lister(const Lister&) = delete;
  Lister& operator=(const Lister&) = delete;
  ~Lister() override { sl_listing_close(listing_); }
  Result<std::vector<ObjectInfo>> Next() override {
    std::vector<ObjectInfo> page;
    Failure failure;
    if (!sl_listing_next(listing_, &AddInfo, &page, failure.get())) return failure.Take();
    return page;
  }

 private:
  sl_listing* listing_;
};

class Upload final : public stores::ObjectUpload {
 public:
  Upload(sl_upload* upload, std::string key, std::uint64_t part_bytes) : upload_(upload), key_(std::move(key)), sizes_(part_bytes) {}
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload() override { sl_upload_close(upload_); }

  Status PutPart(std::uint32_t number, std::string_view bytes) override {
    SL_TRY(stores::ValidatePart(number, bytes.size(), sizes_.part_bytes()));
    if (ended_) return Ended();
    Failure failure;
    if (!sl_upload_part(upload_, number, TextOf(bytes), failure.get())) return failure.Take();
    sizes_.Add(number, bytes.size());
    return {};
  }
  Result<ObjectInfo> Complete() override {
    if (ended_) return std::unexpected(Ended().error());
    SL_TRY(sizes_.CheckWhole(key_));
    ObjectInfo info;
    Failure failure;
    if (!sl_upload_complete(upload_, &TakeInfo, &info, failure.get())) return failure.Take();
    ended_ = true;
    info.key = key_;
    info.size = sizes_.total();
    return info;
  }
  Status Abort() override {
    if (ended_) return {};
    Failure failure;
    if (!sl_upload_abort(upload_, failure.get())) return failure.Take();
    ended_ = true;
    return {};
  }

 private:
  Status Ended() const { return Fail(ErrorKind::kFailedPrecondition, key_ + ": the upload was completed or aborted"); }
  sl_upload* upload_;
  std::string key_;
  stores::PartSizes sizes_;
  std::atomic<bool> ended_{false};
};

}  // namespace

void AddTo(Options& options, const Patience& patience) {
  options.emplace_back("connect_timeout_ms", std::to_string(patience.connect_timeout.count()));
  options.emplace_back("request_timeout_ms", std::to_string(patience.request_timeout.count()));
  options.emplace_back("retries_max", std::to_string(patience.retries_max));
  options.emplace_back("retry_time_max_ms", std::to_string(patience.retry_time_max.count()));
}

Result<std::unique_ptr<ObjectStore>> ObjectStore::Open(const Options& options, std::string location) {
  std::vector<sl_option> given;
  for (const auto& [name, value] : options) given.push_back({.name = TextOf(name), .value = TextOf(value)});
  Failure failure;
  sl_objects* store = sl_objects_open(given.data(), given.size(), failure.get());
  if (store == nullptr) return failure.Take();
  return std::unique_ptr<ObjectStore>(new ObjectStore(store, std::move(location)));
}

ObjectStore::~ObjectStore() { sl_objects_close(store_); }

Result<ObjectInfo> ObjectStore::Put(const std::string& key, std::string_view bytes, const PutCondition& condition) {
  SL_TRY(ValidateObjectKey(key));
  ObjectInfo info;
  Failure failure;
  if (!sl_objects_put(store_, TextOf(key), TextOf(bytes), ConditionOf(condition), TextOf(condition.etag()), &TakeInfo, &info,
                      failure.get())) {
    return failure.Take();
  }
  return info;
}

Result<Object> ObjectStore::Get(const std::string& key, const std::optional<ByteRange>& range, const std::string& if_match) {
  SL_TRY(ValidateObjectKey(key));
  if (range && range->length == 0) return Fail(ErrorKind::kInvalidArgument, key + ": a range has at least one byte");
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  Object object;
  Failure failure;
  if (!sl_objects_get(store_, TextOf(key), range ? range->offset : 0, range ? range->length : kAll, TextOf(if_match), &MakeRoom,
                      &TakeObject, &object, failure.get())) {
    return failure.Take();
  }
  return object;
}

Result<ObjectInfo> ObjectStore::Head(const std::string& key) {
  SL_TRY(ValidateObjectKey(key));
  ObjectInfo info;
  Failure failure;
  if (!sl_objects_head(store_, TextOf(key), &TakeInfo, &info, failure.get())) return failure.Take();
  return info;
}

Result<std::unique_ptr<stores::ObjectLister>> ObjectStore::List(const std::string& prefix, const std::string& start_after) {
  SL_TRY(ValidateObjectKeyPrefix(prefix));
  Failure failure;
  sl_listing* listing = sl_objects_list(store_, TextOf(prefix), TextOf(start_after), failure.get());
  if (listing == nullptr) return failure.Take();
  return std::make_unique<Lister>(listing);
}

Status ObjectStore::Delete(std::span<const std::string> keys) {
  std::vector<sl_text> texts;
  for (const std::string& key : keys) {
    SL_TRY(ValidateObjectKey(key));
    texts.push_back(TextOf(key));
  }
  Failure failure;
  if (!sl_objects_delete(store_, texts.data(), texts.size(), failure.get())) return failure.Take();
  return {};
}

Result<ObjectInfo> ObjectStore::Copy(const std::string& from, const std::string& to) {
  SL_TRY(ValidateObjectKey(from));
  SL_TRY(ValidateObjectKey(to));
  ObjectInfo info;
  Failure failure;
  if (!sl_objects_copy(store_, TextOf(from), TextOf(to), &TakeInfo, &info, failure.get())) return failure.Take();
  return info;
}

Result<std::unique_ptr<stores::ObjectUpload>> ObjectStore::StartUpload(const std::string& key, std::uint64_t part_bytes) {
  SL_TRY(ValidateObjectKey(key));
  if (part_bytes < stores::kPartBytesMin) {
    return Fail(ErrorKind::kInvalidArgument, "an upload's parts have at least " + FormatBytes(stores::kPartBytesMin));
  }
  Failure failure;
  sl_upload* upload = sl_objects_upload(store_, TextOf(key), failure.get());
  if (upload == nullptr) return failure.Take();
  return std::make_unique<Upload>(upload, key, part_bytes);
}

std::optional<std::chrono::milliseconds> ObjectStore::clock_skew() const {
  std::int64_t skew_ms = 0;
  if (!sl_objects_clock_skew(store_, &skew_ms)) return std::nullopt;
  return std::chrono::milliseconds(skew_ms);
}

}  // namespace sightline::bridge
