#pragma once

#include <string>
#include <string_view>

#include "sightline/base/result.h"
#include "sightline/model/dead_letter.h"

namespace sightline {

// The key of a record in a replay batch of a dataset's topic: which dead letter it was, and for which pipeline it is offered again.
// A letter stands for its original, so that each original is taken once by a pipeline, however often it is offered.
// Layout: docs/formats/replay.md. The views point into what the caller encodes from or decoded from.
struct ReplayKey {
  std::string_view pipeline;     // a root pipeline; others pass the record over
  Verdict reason = Verdict::kLate;
  DeadLetterOrigin origin = DeadLetterOrigin::kTopic;
  std::string_view topic;        // of the letter
  Partition partition;           // of the letter
  Offset offset;                 // of the letter
  WallTime received;             // as in the letter
};

// Appends the encoded key to `out`.
void EncodeReplayKey(const ReplayKey& key, std::string& out);
// kCorruption when the bytes are no such key.
Result<ReplayKey> DecodeReplayKey(std::string_view bytes);

}  // namespace sightline
