#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightline/stores/objects/port.h"

// The object store of bridge/ behind the port. The connectors say with which options; everything else is here, once.
struct sl_objects;

namespace sightline::bridge {

// Name and value of each option, as bridge/src/{s3,gcs,hdfs}.rs list them; "type" says which. Values may be secrets: never print them.
using Options = std::vector<std::pair<std::string, std::string>>;

// How long to wait, and how often to try again.
struct Patience {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds request_timeout{30'000};  // of one request, from its connection to the last byte of its answer
  std::int64_t retries_max = 8;                       // besides the first try
  std::chrono::milliseconds retry_time_max{60'000};   // from the first try on; a try that has begun is not cut short
};
void AddTo(Options& options, const Patience& patience);

// Thread-safe. Cheap to open: nothing is asked of the service before the first call.
class ObjectStore final : public stores::ObjectStore {
 public:
  // `location` is for people, as "s3://bucket/prefix". kInvalidArgument for options that cannot be.
  static Result<std::unique_ptr<ObjectStore>> Open(const Options& options, std::string location);
  ~ObjectStore() override;
  ObjectStore(const ObjectStore&) = delete;
  ObjectStore& operator=(const ObjectStore&) = delete;

  using stores::ObjectStore::Delete;
  using stores::ObjectStore::Get;
  using stores::ObjectStore::Put;
  Result<stores::ObjectInfo> Put(const std::string& key, std::string_view bytes, const stores::PutCondition& condition) override;
  Result<stores::Object> Get(const std::string& key, const std::optional<stores::ByteRange>& range, const std::string& if_match) override;
  Result<stores::ObjectInfo> Head(const std::string& key) override;
  Result<std::unique_ptr<stores::ObjectLister>> List(const std::string& prefix, const std::string& start_after) override;
  Status Delete(std::span<const std::string> keys) override;
  Result<stores::ObjectInfo> Copy(const std::string& from, const std::string& to) override;
  Result<std::unique_ptr<stores::ObjectUpload>> StartUpload(const std::string& key, std::uint64_t part_bytes) override;
  const std::string& location() const override { return location_; }

  // The service's clock less ours when it last answered, to the second; nothing before that, and where it does not tell (HDFS).
  std::optional<std::chrono::milliseconds> clock_skew() const;

 private:
  ObjectStore(sl_objects* store, std::string location) : store_(store), location_(std::move(location)) {}
  sl_objects* store_;
  std::string location_;
};

}  // namespace sightline::bridge
