#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/object_key.h"
#include "sightline/model/time.h"

namespace sightline::stores {

// What is known of an object without reading it.
struct ObjectInfo {
  std::string key;
  // Changes whenever the object is put again; opaque. S3: its etag; GCS: the generation; HDFS and files: time and size.
  std::string etag;
  std::uint64_t size = 0;  // bytes
  WallTime modified;       // by the service's clock; 0 where an answer does not say
};

struct Object {
  ObjectInfo info;
  std::string bytes;  // of the range that was asked for, or all
};

// The first byte, and how many at most: fewer at the object's end.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // at least 1
};

// What must hold for a put to happen, checked by the service in one step with it.
class PutCondition {
 public:
  enum class Kind : std::uint8_t { kAnyhow, kIfAbsent, kIfMatch };
  static PutCondition Anyhow() { return {}; }
  // There is no such object; else kAlreadyExists.
  static PutCondition IfAbsent() { return PutCondition(Kind::kIfAbsent, ""); }
  // The object has this etag; else, or when it is gone, kFailedPrecondition.
  static PutCondition IfMatch(std::string etag) { return PutCondition(Kind::kIfMatch, std::move(etag)); }
  PutCondition() = default;

  Kind kind() const { return kind_; }
  const std::string& etag() const { return etag_; }

 private:
  PutCondition(Kind kind, std::string etag) : kind_(kind), etag_(std::move(etag)) {}
  Kind kind_ = Kind::kAnyhow;
  std::string etag_;
};

// A listing in progress. One thread at a time; must not outlive its store.
class ObjectLister {
 public:
  virtual ~ObjectLister() = default;
  // The next objects in the order of their keys' bytes, some hundreds to thousands; none at the end. What is put or deleted meanwhile
  // may be in it or not.
  virtual Result<std::vector<ObjectInfo>> Next() = 0;
};

// An object that comes in parts and appears as a whole. Part calls from several threads are safe, each number once; a part that failed
// may be put again. One that is neither completed nor aborted leaves its parts with the service for a time. Must not outlive its store.
class ObjectUpload {
 public:
  virtual ~ObjectUpload() = default;
  // Parts are numbered from 1 and put in any order, though a service may keep those that come early in memory. Each but the last has
  // exactly the upload's part size. kInvalidArgument for a number or size that breaks this.
  virtual Status PutPart(std::uint32_t number, std::string_view bytes) = 0;
  // Puts the parts together; replaces an object of the same key. kFailedPrecondition when there is none, or one is missing.
  virtual Result<ObjectInfo> Complete() = 0;
  // Gives the parts up. Not an error when there are none any more.
  virtual Status Abort() = 0;
};

inline constexpr std::uint64_t kPartBytesMin = 5ULL << 20;  // what S3 allows
inline constexpr std::uint64_t kPartBytes = 16ULL << 20;
inline constexpr std::uint32_t kPartsMax = 10'000;

// Blobs by name. An object is there as a whole or not at all; a reader sees the old one or the new one, and who has put one sees it
// from then on in every call, listings included. Blocking calls from any thread.
//
// Fencing: a big thing (a snapshot) goes under a name of its own, and a small object that names it is put IfMatch the etag it had. Who
// was overtaken fails there. Do not mix conditional and plain puts on one key: on HDFS a plain one takes no part in the comparison.
//
// A store that keeps directories (files, HDFS) cannot hold both "a" and "a/b": whichever comes second is kFailedPrecondition.
//
// Errors, besides those of each call: kInvalidArgument for a key that ValidateObjectKey refuses; kFailedPrecondition when the bucket is
// gone or the server's certificate is not to be trusted; kPermissionDenied, kUnauthenticated; kUnavailable after all retries,
// kDeadlineExceeded (a conditional put may have happened then: Head tells), kResourceExhausted when there is no room, all three safe to
// retry; kCorruption when bytes arrive changed; kIo.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  // The new object; durable when the call returns.
  virtual Result<ObjectInfo> Put(const std::string& key, std::string_view bytes, const PutCondition& condition) = 0;
  Result<ObjectInfo> Put(const std::string& key, std::string_view bytes) { return Put(key, bytes, PutCondition::Anyhow()); }
  // kNotFound; kOutOfRange when the range begins at or past the end; kFailedPrecondition when `if_match` is not empty and not the etag.
  virtual Result<Object> Get(const std::string& key, const std::optional<ByteRange>& range, const std::string& if_match) = 0;
  Result<Object> Get(const std::string& key) { return Get(key, std::nullopt, ""); }
  // kNotFound.
  virtual Result<ObjectInfo> Head(const std::string& key) = 0;
  // Objects whose keys begin with `prefix` ("" for all; it need not end at a '/') and are greater than `start_after`. kInvalidArgument.
  virtual Result<std::unique_ptr<ObjectLister>> List(const std::string& prefix, const std::string& start_after) = 0;
  // Those that are there; one that is missing is no error. After an error some may be gone: a second call is safe.
  virtual Status Delete(std::span<const std::string> keys) = 0;
  Status Delete(const std::string& key) { return Delete(std::span(&key, 1)); }
  // Without the bytes passing through here where the service can. kNotFound. Up to 5 GB on S3.
  virtual Result<ObjectInfo> Copy(const std::string& from, const std::string& to) = 0;
  // `part_bytes` from kPartBytesMin; at most kPartsMax parts.
  virtual Result<std::unique_ptr<ObjectUpload>> StartUpload(const std::string& key, std::uint64_t part_bytes) = 0;
  // For people: "s3://bucket/prefix", or a directory.
  virtual const std::string& location() const = 0;
};

// The rule for part number and size that every upload keeps to: all of `part_bytes`, the last of 1 to `part_bytes`.
Status ValidatePart(std::uint32_t number, std::uint64_t size, std::uint64_t part_bytes);

// Every object of a listing; for prefixes that are known to hold few.
Result<std::vector<ObjectInfo>> ListAll(ObjectStore& store, const std::string& prefix);

}  // namespace sightline::stores
