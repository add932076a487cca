#include "sightline/flow/line_stages.h"

#include <immintrin.h>

#include <algorithm>
#include <thread>

namespace sightline::flow {
namespace {

// About what waking a sleeping thread takes, and half of what a stage takes for a piece.
constexpr int kSpins = 1500;

}  // namespace

LineStages::LineStages(const governance::Contract& contract, gate::Decoder::Limits limits, std::string_view text, std::size_t piece_bytes,
                       int threads)
    : contract_(contract), limits_(limits), text_(text), piece_bytes_(piece_bytes), threads_(std::max(threads, 1)) {
  const std::size_t slots = threads_ == 1 ? 1 : Processor::kAheadMax + 2 * static_cast<std::size_t>(threads_);
  for (std::size_t i = 0; i < slots; ++i) slots_.push_back(std::make_unique<Slot>());
}

Status LineStages::Run(const Stages& stages) {
  stages_ = &stages;
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads_; ++i) helpers.emplace_back([this] { Work(); });
  Work();
  for (std::thread& helper : helpers) helper.join();
  return status_;
}

// The furthest stage first: what it holds is what the others wait for, and its bytes are still in the cache.
void LineStages::Work() {
  gate::Decoder decoder(contract_, limits_);
  std::unique_lock lock(mutex_);
  while (status_ && !AtEnd()) {
    if (Count(lock) || Settle(lock) || Judge(lock) || Decode(lock, decoder)) {
      Changed();
    } else {
      WaitForChange(lock);
    }
  }
  Changed();
}

void LineStages::Changed() {
  changes_.fetch_add(1, std::memory_order_relaxed);
  changed_.notify_all();
}

// The others are done with their stage soon, mostly sooner than a thread falls asleep and wakes again.
void LineStages::WaitForChange(std::unique_lock<std::mutex>& lock) {
  const std::uint32_t seen = changes_.load(std::memory_order_relaxed);
  lock.unlock();
  for (int i = 0; i < kSpins && changes_.load(std::memory_order_relaxed) == seen; ++i) _mm_pause();
  lock.lock();
  changed_.wait(lock, [&] { return changes_.load(std::memory_order_relaxed) != seen; });
}

bool LineStages::Count(std::unique_lock<std::mutex>& lock) {
  Slot& slot = At(counted_);
  if (counting_ || slot.state != State::kJudged) return false;
  counting_ = true;
  lock.unlock();
  Status done = stages_->count(slot.piece);
  const bool due = done && stages_->due();
  lock.lock();
  counting_ = false;
  Keep(std::move(done));
  settle_due_ = settle_due_ || due;
  slot.state = State::kFree;
  ++counted_;
  return true;
}

bool LineStages::Settle(std::unique_lock<std::mutex>& lock) {
  if (!settle_due_ || counting_ || judging_ || judged_ != counted_) return false;
  counting_ = judging_ = true;
  lock.unlock();
  Status done = stages_->settle();
  lock.lock();
  counting_ = judging_ = false;
  settle_due_ = false;
  Keep(std::move(done));
  return true;
}

bool LineStages::Judge(std::unique_lock<std::mutex>& lock) {
  Slot& slot = At(judged_);
  const std::size_t ahead = judged_ - counted_;
  if (judging_ || settle_due_ || slot.state != State::kDecoded || ahead > (alone_ ? 0 : Processor::kAheadMax)) return false;
  judging_ = true;
  lock.unlock();
  const bool done = stages_->judge(slot.piece, ahead > 0);
  lock.lock();
  judging_ = false;
  alone_ = !done;
  if (!done) return true;
  slot.state = State::kJudged;
  ++judged_;
  return true;
}

bool LineStages::Decode(std::unique_lock<std::mutex>& lock, gate::Decoder& decoder) {
  Slot& slot = At(pieces_);
  if (cut_ == text_.size() || slot.state != State::kFree) return false;
  slot.state = State::kTaken;
  slot.piece.begin = cut_;
  std::size_t end = std::min(text_.size(), cut_ + piece_bytes_);
  if (end < text_.size()) {
    const std::size_t line_end = text_.find('\n', end);
    end = line_end == std::string_view::npos ? text_.size() : line_end + 1;
  }
  slot.piece.end = cut_ = end;
  ++pieces_;
  lock.unlock();
  // Every line but the last begins within the piece's asked-for size, and takes two bytes at least: room for that many rows is enough
  // also where the last line is gigabytes long.
  decoder.DecodeLines(text_.substr(slot.piece.begin, slot.piece.end - slot.piece.begin), true, piece_bytes_ / 2 + 2, slot.piece.decoded);
  lock.lock();
  slot.state = State::kDecoded;
  return true;
}

void LineStages::Keep(Status done) {
  if (status_ && !done) status_ = std::move(done);
}

}  // namespace sightline::flow
