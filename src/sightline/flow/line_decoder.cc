#include "sightline/flow/line_decoder.h"

#include <algorithm>

namespace sightline::flow {

LineDecoder::LineDecoder(const governance::Contract& contract, gate::Decoder::Limits limits, std::string_view text, std::size_t piece_bytes,
                         int threads)
    : contract_(contract), limits_(limits), text_(text), piece_bytes_(piece_bytes), own_(contract, limits) {
  const int helpers = std::max(threads, 1) - 1;
  for (int i = 0; i < 2 + 3 * helpers; ++i) slots_.push_back(std::make_unique<Slot>());
  for (int i = 0; i < helpers; ++i) threads_.emplace_back([this] { Work(); });
}

LineDecoder::~LineDecoder() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

LineDecoder::Slot* LineDecoder::Take() {
  if (cut_ == text_.size()) return nullptr;
  Slot& slot = *slots_[next_cut_ % slots_.size()];
  if (slot.state != State::kFree) return nullptr;
  slot.state = State::kTaken;
  slot.begin = cut_;
  std::size_t end = std::min(text_.size(), cut_ + piece_bytes_);
  if (end < text_.size()) {
    const std::size_t line_end = text_.find('\n', end);
    end = line_end == std::string_view::npos ? text_.size() : line_end + 1;
  }
  slot.end = cut_ = end;
  ++next_cut_;
  return &slot;
}

void LineDecoder::Decode(gate::Decoder& decoder, Slot& slot) const {
  // Every line but the last begins within the piece's asked-for size, and takes two bytes at least: room for that many rows is enough
  // also where the last line is gigabytes long.
  decoder.DecodeLines(text_.substr(slot.begin, slot.end - slot.begin), true, piece_bytes_ / 2 + 2, slot.decoded);
}

void LineDecoder::Work() {
  gate::Decoder decoder(contract_, limits_);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    Slot* slot = Take();
    if (slot == nullptr) {
      if (cut_ == text_.size()) return;
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    Decode(decoder, *slot);
    lock.lock();
    slot->state = State::kReady;
    changed_.notify_all();
  }
}

LineDecoder::Piece LineDecoder::Next() {
  std::unique_lock lock(mutex_);
  if (out_ != nullptr) {
    out_->state = State::kFree;
    out_ = nullptr;
    changed_.notify_all();
  }
  for (;;) {
    Slot& next = *slots_[next_out_ % slots_.size()];
    if (next.state == State::kReady) {
      ++next_out_;
      out_ = &next;
      return {&next.decoded, next.begin, next.end};
    }
    if (next.state == State::kFree && cut_ == text_.size()) return {};
    Slot* slot = Take();
    if (slot == nullptr) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    Decode(own_, *slot);
    lock.lock();
    slot->state = State::kReady;
  }
}

}  // namespace sightline::flow
