#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/schema.h"
#include "sightline/model/time.h"

namespace sightline {

enum class ResultState : std::uint8_t {
  kOpen = 0,       // early: the window still takes events; only ever on the live board
  kFinal = 1,      // the watermark reached the window's end
  kCorrected = 2,  // a later revision, from events within the allowed lateness or replayed
};
std::string_view ResultStateName(ResultState state);  // "open", "final", "corrected"

// The shape of a pipeline's results: fixed by its plan. A row holds the window's bounds (in the header), the group's key
// and the other columns; rows of one group stand together and are replaced as a unit.
struct ResultShape {
  std::string pipeline;
  Schema schema;                       // every column of a row but window_start and window_end
  std::vector<int> group;              // columns (indices into schema) that identify the group within its window
  bool windowed = true;
};

struct ResultHeader {
  std::uint64_t generation = 0;        // fingerprint of plan, partition epoch and semantics version
  std::uint32_t revision = 0;          // 0 for the first final result of a group
  ResultState state = ResultState::kFinal;
  EventTime window_start;
  EventTime window_end;                // exclusive
  std::uint64_t reference_version = 0; // of the newest reference the names came from; 0: none
};

// One record of a results topic: all rows of one group in one window. With `emptied` set a correction has taken all rows of the
// group away; with `closed` set the partition will send nothing more for windows that end at or before window_end. Layout:
// docs/formats/result.md.
struct ResultRecord {
  ResultHeader header;
  bool closed = false;
  // `rows` has no rows then. Its columns hold one value each all the same, at 0: the group's key, and null elsewhere.
  bool emptied = false;
  ColumnBatch rows;                    // columns of ResultShape::schema
};

// Appends the encoded record to `out`. Rows [begin, end) of `rows` are written.
void EncodeResult(const ResultHeader& header, const Schema& schema, const ColumnBatch& rows, std::size_t begin, std::size_t end,
                  std::string& out);
// The group that row `row` belongs to has no rows now; of that row the group's columns are written.
void EncodeEmptied(const ResultHeader& header, const ResultShape& shape, const ColumnBatch& rows, std::size_t row, std::string& out);
void EncodeClosed(const ResultHeader& header, std::string& out);
// The generation of an encoded record, to be looked at before it is decoded: another plan's results have other columns. 0 when the
// bytes are too few for a record.
std::uint64_t GenerationOf(std::string_view bytes);
// What stands before the rows of a record, whatever its columns. kCorruption as below.
struct ResultMark {
  ResultHeader header;
  bool closed = false;
  bool emptied = false;
};
Result<ResultMark> DecodeResultMark(std::string_view bytes);
// Strings in `into.rows` are views into `bytes`. kCorruption when the bytes are not such a record.
Status DecodeResult(std::string_view bytes, const Schema& schema, ResultRecord& into);

}  // namespace sightline
