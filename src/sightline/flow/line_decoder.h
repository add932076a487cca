#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "sightline/gate/decoder.h"

namespace sightline::flow {

// Decodes a text of lines with several threads and hands the pieces out in their order. With one thread everything happens
// within Next; with more, the caller's thread decodes too whenever the next piece is not ready, so that all stay busy.
// Next and the destructor belong to one thread.
class LineDecoder {
 public:
  // `text` must outlive the decoder. Pieces are cut at line ends about every `piece_bytes`; their size changes no result.
  LineDecoder(const governance::Contract& contract, gate::Decoder::Limits limits, std::string_view text, std::size_t piece_bytes,
              int threads);
  ~LineDecoder();
  LineDecoder(const LineDecoder&) = delete;
  LineDecoder& operator=(const LineDecoder&) = delete;

  // The next piece, valid until the next call; null at the end. `begin` and `end` are byte positions in the text.
  struct Piece {
    gate::Decoded* decoded = nullptr;
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  Piece Next();

 private:
  enum class State : std::uint8_t { kFree, kTaken, kReady };
  struct Slot {
    State state = State::kFree;
    std::size_t begin = 0;
    std::size_t end = 0;
    gate::Decoded decoded;
  };
  // Takes the next undecoded range into a free slot; null when there is none. Needs the lock.
  Slot* Take();
  void Decode(gate::Decoder& decoder, Slot& slot) const;
  void Work();

  const governance::Contract& contract_;
  gate::Decoder::Limits limits_;
  std::string_view text_;
  std::size_t piece_bytes_;
  gate::Decoder own_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Slot>> slots_;  // piece i is in slot i mod size
  std::size_t cut_ = 0;         // bytes cut into pieces
  std::size_t next_cut_ = 0;    // number of the next piece to cut
  std::size_t next_out_ = 0;    // number of the next piece to hand out
  Slot* out_ = nullptr;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sightline::flow
