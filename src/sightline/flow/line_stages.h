#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "sightline/flow/processor.h"
#include "sightline/gate/decoder.h"

namespace sightline::flow {

// Takes a text of lines through three stages with several threads. Pieces are decoded in any order, several at a time; they are judged one
// after another, and counted one after another, each in the order of the text. With one thread a piece goes through all three before the
// next begins. What comes out is the same for any number of threads.
class LineStages {
 public:
  struct Piece {
    std::size_t begin = 0, end = 0;  // bytes of the text
    gate::Decoded decoded;
    Judged judged;
  };
  // No two calls of the same function overlap. judge and count may, for different pieces; settle overlaps with neither.
  struct Stages {
    // `ahead`: pieces before this one, at most Processor::kAheadMax, are not counted yet. False: it must be judged again when they are.
    std::function<bool(Piece&, bool ahead)> judge;
    std::function<Status(Piece&)> count;
    // Asked after a piece was counted: is settle due?
    std::function<bool()> due;
    // Called when every piece that was judged is counted, too.
    std::function<Status()> settle;
  };
  // `contract` and `text` must outlive the object. Pieces are cut at line ends about every `piece_bytes`; their size changes no result.
  LineStages(const governance::Contract& contract, gate::Decoder::Limits limits, std::string_view text, std::size_t piece_bytes,
             int threads);

  // All of the text, on the caller's thread and `threads` - 1 others; the first error ends it.
  Status Run(const Stages& stages);

 private:
  enum class State : std::uint8_t { kFree, kTaken, kDecoded, kJudged };
  struct Slot {
    State state = State::kFree;
    Piece piece;
  };
  Slot& At(std::size_t number) { return *slots_[number % slots_.size()]; }
  // What a thread does next. All need the lock, give it up while they work, and say whether there was anything to do.
  bool Count(std::unique_lock<std::mutex>& lock);
  bool Settle(std::unique_lock<std::mutex>& lock);
  bool Judge(std::unique_lock<std::mutex>& lock);
  bool Decode(std::unique_lock<std::mutex>& lock, gate::Decoder& decoder);
  bool AtEnd() const { return cut_ == text_.size() && counted_ == pieces_ && !counting_; }
  void Keep(Status done);
  void Work();
  void Changed();
  void WaitForChange(std::unique_lock<std::mutex>& lock);

  const governance::Contract& contract_;
  gate::Decoder::Limits limits_;
  std::string_view text_;
  std::size_t piece_bytes_;
  int threads_;
  const Stages* stages_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::uint32_t> changes_{0};  // grows with each change, under the lock
  std::vector<std::unique_ptr<Slot>> slots_;  // piece i is in slot i mod size
  std::size_t cut_ = 0;  // bytes cut into pieces
  std::size_t pieces_ = 0, judged_ = 0, counted_ = 0;  // how many were cut, judged and counted
  bool judging_ = false, counting_ = false;
  bool alone_ = false;  // the next piece can be judged only when those before it are counted
  bool settle_due_ = false;
  Status status_;
};

}  // namespace sightline::flow
