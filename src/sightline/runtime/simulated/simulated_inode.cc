#include "sightline/runtime/simulated/simulated_inode.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sightline::runtime {
namespace {

// How a power loss treats a file: not every disaster is a coin a sector.
enum class Fate : std::uint8_t { kNothingSurvives, kEverythingSurvives, kSectorBySector };

Fate DrawFate(Random& random) { return static_cast<Fate>(random.Below(3)); }

bool Survives(Fate fate, Random& random) { return fate == Fate::kEverythingSurvives || (fate == Fate::kSectorBySector && random.OneIn(2)); }

// The log maps segments of 256 MiB and fills a corner of them. Such a piece is a mapping here, too: the sanitizers' allocators look at
// each byte of what is given back to them.
constexpr std::uint64_t kMapFrom = 1ULL << 20;

}  // namespace

SimulatedInode::Buffer SimulatedInode::Zeroed(std::uint64_t capacity) {
  void* bytes = nullptr;
  if (capacity < kMapFrom) {
    bytes = std::calloc(1, capacity);
  } else if (bytes = mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
             bytes == MAP_FAILED) {
    bytes = nullptr;
  }
  if (bytes == nullptr) throw std::bad_alloc();
  return {.bytes = {static_cast<char*>(bytes), Release{capacity}}, .capacity = capacity};
}

void SimulatedInode::Release::operator()(char* bytes) const {
  if (capacity < kMapFrom) {
    std::free(bytes);
  } else {
    munmap(bytes, capacity);
  }
}

void SimulatedInode::Reserve(std::uint64_t capacity) {
  if (!buffers_.empty() && buffers_.back().capacity >= capacity) return;
  Buffer grown = Zeroed(std::max<std::uint64_t>({capacity, 2 * size_, 4096}));
  if (size_ > 0) std::memcpy(grown.bytes.get(), data(), size_);
  if (!mapped_) buffers_.clear();
  buffers_.push_back(std::move(grown));
}

void SimulatedInode::Touch(std::uint64_t position, std::uint64_t size) {
  for (std::uint64_t sector = position / kSector; size > 0 && sector <= (position + size - 1) / kSector; ++sector) {
    believed_clean_.erase(sector);
    if (undo_.contains(sector)) continue;
    std::string before(kSector, '\0');
    const std::uint64_t start = sector * kSector;
    if (start < size_) std::memcpy(before.data(), data() + start, std::min(kSector, size_ - start));
    undo_.emplace(sector, std::move(before));
  }
}

void SimulatedInode::Write(std::uint64_t position, std::string_view bytes) {
  if (bytes.empty()) return;
  Touch(position, bytes.size());
  Reserve(position + bytes.size());
  for (const Buffer& buffer : buffers_) {
    if (position >= buffer.capacity) continue;
    std::memcpy(buffer.bytes.get() + position, bytes.data(), std::min<std::uint64_t>(bytes.size(), buffer.capacity - position));
  }
  size_ = std::max(size_, position + bytes.size());
}

std::size_t SimulatedInode::Read(std::uint64_t position, char* to, std::size_t size) const {
  if (position >= size_) return 0;
  size = std::min<std::uint64_t>(size, size_ - position);
  if (size > 0) std::memcpy(to, data() + position, size);
  return size;
}

// Remembers what was there before the first truncation since the last sync, from the lowest cut on.
void SimulatedInode::RecordCut(std::uint64_t size) {
  if (cut_ && size >= cut_->at) return;
  const std::uint64_t until = cut_ ? cut_->at : size_;
  std::string tail(data() + size, std::min(size_, until) - size);
  std::map<std::uint64_t, std::string> undo(undo_.lower_bound(size / kSector), undo_.lower_bound((until + kSector - 1) / kSector));
  if (!cut_) {
    cut_ = Cut{.at = size, .tail = std::move(tail), .undo = std::move(undo), .durable_size = durable_size_};
    return;
  }
  tail.resize(until - size, '\0');
  cut_->at = size;
  cut_->tail.insert(0, tail);
  cut_->undo.merge(undo);
}

void SimulatedInode::Truncate(std::uint64_t size) {
  if (size >= size_) return Extend(size);
  RecordCut(size);
  for (const Buffer& buffer : buffers_) {
    if (size < buffer.capacity) std::memset(buffer.bytes.get() + size, 0, std::min(size_, buffer.capacity) - size);
  }
  // Past the cut the disk holds zeros from here on, if the cut happened.
  const std::uint64_t first_gone = (size + kSector - 1) / kSector;
  undo_.erase(undo_.lower_bound(first_gone), undo_.end());
  believed_clean_.erase(believed_clean_.lower_bound(first_gone), believed_clean_.end());
  if (const auto edge = undo_.find(size / kSector); edge != undo_.end()) {
    std::fill(edge->second.begin() + static_cast<std::ptrdiff_t>(size % kSector), edge->second.end(), '\0');
  }
  size_ = size;
  durable_size_ = std::min(durable_size_, size);
}

void SimulatedInode::Extend(std::uint64_t size) {
  if (size <= size_) return;
  Reserve(size);
  size_ = size;
}

void SimulatedInode::Sync() {
  std::erase_if(undo_, [this](const auto& entry) { return !believed_clean_.contains(entry.first); });
  durable_size_ = size_;
  durable_modified_ns_ = modified_ns_;
  cut_.reset();
}

void SimulatedInode::FailSync() {
  for (const auto& [sector, before] : undo_) believed_clean_.insert(sector);
}

std::string_view SimulatedInode::Map(std::uint64_t size) {
  Reserve(size);
  mapped_ = true;
  return {data(), size};
}

std::shared_ptr<SimulatedInode> SimulatedInode::AfterPowerLoss(Random& random) const {
  auto after = std::make_shared<SimulatedInode>();
  const Fate fate = DrawFate(random);
  std::string bytes(data() == nullptr ? "" : std::string(data(), size_));
  std::uint64_t durable_size = durable_size_;
  const auto restore = [&](const std::map<std::uint64_t, std::string>& undo) {
    for (const auto& [sector, before] : undo) {
      const std::uint64_t start = sector * kSector;
      if (start >= bytes.size() || Survives(fate, random)) continue;
      std::memcpy(bytes.data() + start, before.data(), std::min(kSector, bytes.size() - start));
    }
  };
  if (cut_ && !Survives(fate, random)) {
    // The truncation never happened, nor anything after it past the cut.
    bytes.resize(cut_->at, '\0');
    bytes += cut_->tail;
    durable_size = cut_->durable_size;
    std::map<std::uint64_t, std::string> undo = cut_->undo;
    for (const auto& [sector, before] : undo_) {
      if (sector < cut_->at / kSector) undo.insert_or_assign(sector, before);
    }
    restore(undo);
  } else {
    restore(undo_);
  }
  if (bytes.size() > durable_size && !Survives(fate, random)) bytes.resize(durable_size);
  if (!bytes.empty()) after->Write(0, bytes);
  after->SetModified(durable_modified_ns_);
  after->Sync();
  return after;
}

void SimulatedInode::Flip(std::uint64_t position, std::uint8_t mask) {
  for (const Buffer& buffer : buffers_) {
    if (position < buffer.capacity) buffer.bytes.get()[position] = static_cast<char>(buffer.bytes.get()[position] ^ mask);
  }
  const auto dirty = undo_.find(position / kSector);
  if (dirty != undo_.end()) {
    char& byte = dirty->second[position % kSector];
    byte = static_cast<char>(byte ^ mask);
  }
}

}  // namespace sightline::runtime
