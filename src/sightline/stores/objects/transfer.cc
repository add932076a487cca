#include "sightline/stores/objects/transfer.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

namespace sightline::stores {
namespace {

// Does the pieces 0 to `count`-1, some at once; stops at the first error, which it gives.
template <typename Piece>
Status ForEachPiece(std::uint64_t count, int in_flight, const Piece& piece) {
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  Status first;
  const auto work = [&] {
    for (std::uint64_t i = next++; i < count && !failed; i = next++) {
      if (Status done = piece(i); !done) {
        const std::lock_guard lock(mutex);
        if (first) first = std::move(done);
        failed = true;
      }
    }
  };
  std::vector<std::thread> threads;
  const std::uint64_t helpers = std::min<std::uint64_t>(count, static_cast<std::uint64_t>(std::max(in_flight, 1))) - 1;
  for (std::uint64_t i = 0; i < helpers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace

Result<ObjectInfo> PutLarge(ObjectStore& store, const std::string& key, std::string_view bytes, const TransferOptions& options) {
  if (bytes.size() <= options.part_bytes) return store.Put(key, bytes);
  SL_ASSIGN_OR_RETURN(const auto upload, store.StartUpload(key, options.part_bytes));
  const std::uint64_t parts = (bytes.size() + options.part_bytes - 1) / options.part_bytes;
  const Status put = ForEachPiece(parts, options.in_flight, [&](std::uint64_t i) {
    return upload->PutPart(static_cast<std::uint32_t>(i + 1), bytes.substr(i * options.part_bytes, options.part_bytes));
  });
  if (!put) {
    (void)upload->Abort();  // the first error says more
    return std::unexpected(put.error());
  }
  return upload->Complete();
}

Result<Object> GetLarge(ObjectStore& store, const std::string& key, std::uint64_t size_max, const TransferOptions& options) {
  SL_ASSIGN_OR_RETURN(ObjectInfo info, store.Head(key));
  if (info.size > size_max) {
    return Fail(ErrorKind::kResourceExhausted,
                key + " has " + std::to_string(info.size) + " bytes; at most " + std::to_string(size_max) + " are read");
  }
  if (info.size <= options.part_bytes) return store.Get(key, std::nullopt, info.etag);
  Object object{.info = info, .bytes = std::string(info.size, '\0')};
  const std::uint64_t parts = (info.size + options.part_bytes - 1) / options.part_bytes;
  SL_TRY(ForEachPiece(parts, options.in_flight, [&](std::uint64_t i) -> Status {
    const ByteRange range{.offset = i * options.part_bytes, .length = std::min(options.part_bytes, info.size - i * options.part_bytes)};
    SL_ASSIGN_OR_RETURN(const Object part, store.Get(key, range, info.etag));
    if (part.bytes.size() != range.length) return Fail(ErrorKind::kCorruption, key + ": a range came short");
    std::memcpy(object.bytes.data() + range.offset, part.bytes.data(), part.bytes.size());
    return {};
  }));
  return object;
}

}  // namespace sightline::stores
