#include "sightline/bus/embedded/segment.h"

#include <algorithm>

#include "sightline/base/text.h"

namespace sightline::bus {
namespace {

// Room is taken in steps between these: a small topic stays small, a busy one seldom waits for its next step.
constexpr std::uint64_t kRoomMin = 1 << 20;
constexpr std::uint64_t kRoomMax = 16 << 20;

}  // namespace

Segment::Segment(runtime::FileSystem& files, std::string directory, SegmentName name, std::unique_ptr<runtime::File> file)
    : files_(files), directory_(std::move(directory)), path_(directory_ + "/" + name.LogFile()), name_(name), file_(std::move(file)) {}

Result<SegmentPtr> Segment::Create(runtime::FileSystem& files, const std::string& directory, const SegmentHeader& header,
                                   std::uint64_t capacity, std::uint64_t reserve) {
  const SegmentName name{.base = header.base, .id = header.id};
  const std::string path = directory + "/" + name.LogFile();
  SL_ASSIGN_OR_RETURN(auto file, files.Open(path, runtime::OpenMode::kCreateExclusive));
  SegmentPtr segment(new Segment(files, directory, name, std::move(file)));
  segment->capacity_ = capacity;
  segment->index.push_back({.base = header.base, .position = kSegmentHeaderSize});
  if (auto written = segment->Write(0, EncodeSegmentHeader(header), reserve); !written) {
    // Nothing may be left that a recovery would take for a segment; should this fail too, an empty one is removed there.
    if (auto removed = files.Remove(path); !removed) return std::unexpected(std::move(removed).error());
    return std::unexpected(std::move(written).error());
  }
  return segment;
}

Result<SegmentPtr> Segment::Open(runtime::FileSystem& files, const std::string& directory, SegmentName name, std::uint64_t capacity) {
  SL_ASSIGN_OR_RETURN(auto file, files.Open(directory + "/" + name.LogFile(), runtime::OpenMode::kReadWrite));
  SegmentPtr segment(new Segment(files, directory, name, std::move(file)));
  SL_ASSIGN_OR_RETURN(segment->file_size_, segment->file_->Size());
  segment->capacity_ = std::max(capacity, segment->file_size_);
  segment->index.push_back({.base = name.base, .position = kSegmentHeaderSize});
  return segment;
}

Result<std::string_view> Segment::View() {
  const std::lock_guard lock(view_mutex_);
  if (!view_) {
    SL_ASSIGN_OR_RETURN(view_, file_->Map(capacity_));
  }
  return *view_;
}

Status Segment::Write(std::uint64_t position, std::string_view bytes, std::uint64_t reserve) {
  const std::uint64_t needed = position + bytes.size();
  if (needed > file_size_) {
    const std::uint64_t step = std::clamp(file_size_, kRoomMin, kRoomMax);
    const std::uint64_t size = std::max(needed, std::min(capacity_, file_size_ + step));
    if (reserve > 0) {
      SL_ASSIGN_OR_RETURN(const std::uint64_t left, files_.FreeBytes(directory_));
      if (left < reserve + (size - file_size_)) {
        return Fail(ErrorKind::kResourceExhausted, directory_ + " has " + FormatBytes(left) + " left on its disk, and " +
                                                       FormatBytes(reserve) + " are kept free: it is full");
      }
    }
    dirty = true;
    SL_TRY(file_->Preallocate(size));
    file_size_ = size;
  }
  dirty = true;
  return file_->WriteAt(position, bytes);
}

void Segment::Advance(const BatchHeader& batch) {
  if (batch.position >= index.back().position + kIndexEvery) index.push_back({.base = batch.base, .position = batch.position});
  last_append = std::max(last_append, batch.append_time);
  last_epoch = batch.epoch;
  used_.store(batch.position + batch.size, std::memory_order_release);
}

void Segment::Seal(Offset end) {
  end_.store(end.value, std::memory_order_relaxed);
  sealed_.store(true, std::memory_order_release);
}

Status Segment::Cut(std::uint64_t position) {
  dirty = true;
  SL_TRY(file_->Truncate(position));
  file_size_ = position;
  used_.store(position, std::memory_order_release);
  while (index.size() > 1 && index.back().position >= position) index.pop_back();
  return {};
}

Status Segment::Rewrite(std::uint64_t from, std::uint64_t to) {
  constexpr std::uint64_t kStep = 1 << 20;
  SL_ASSIGN_OR_RETURN(const std::string_view view, View());
  dirty = true;
  for (; from < to; from += kStep) {
    // A copy: a write whose source is the very page it goes to can stall.
    const std::string bytes(view.substr(from, std::min(kStep, to - from)));
    SL_TRY(file_->WriteAt(from, bytes));
  }
  return {};
}

}  // namespace sightline::bus
