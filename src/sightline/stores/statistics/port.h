#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/column_batch.h"
#include "sightline/model/ids.h"
#include "sightline/model/result.h"
#include "sightline/model/schema.h"
#include "sightline/model/time.h"
#include "sightline/stores/statistics/result_batch.h"

namespace sightline::stores {

// A value of a column in a query; monostate is null.
using Value = std::variant<std::monostate, std::int64_t, double, bool, std::string>;

// The column holds one of these values. No values: nothing fits.
struct ColumnFilter {
  std::string column{};
  std::vector<Value> any_of{};
};

// Windows by their start, from <= window_start < to.
struct TimeRange {
  EventTime from{std::numeric_limits<std::int64_t>::min()};
  EventTime to{std::numeric_limits<std::int64_t>::max()};
};

// What one table holds: the results of one pipeline under one plan.
struct StatisticsTable {
  ResultShape shape{};
  std::uint64_t generation = 0;
  bool active = false;  // the generation that queries see
};

// A step of a consumer of a results topic: groups of any of its partitions, and how far each partition is consumed by them.
struct ApplyRequest {
  struct Consumed {
    Partition partition{};
    Offset next{};  // one past the last record taken into account
  };
  std::string pipeline{};
  std::uint64_t generation = 0;
  std::string topic{};
  const ResultBatch* results = nullptr;
  std::vector<Consumed> consumed{};  // every partition in `results`, once
  // Where the caller goes on from, for each partition that it names: a store that is not as far any more refuses the request.
  std::vector<Consumed> since{};
};

struct Applied {
  std::uint64_t groups = 0;    // taken over
  std::uint64_t rows = 0;      // written
  std::uint64_t repeated = 0;  // groups below the stored offset: they were here already
  std::uint64_t outdated = 0;  // groups whose revision is not above the stored one
};

// Rows of a pipeline's active generation. Every row has the columns window_start, window_end, those of the pipeline's schema,
// state ("final", "corrected") and revision.
struct RowQuery {
  enum class Order : std::uint8_t {
    kNone,        // as stored, fastest; without limit and cursor
    kAscending,   // oldest window first; within a window by the group's columns (nulls first), within a group as computed
    kDescending,  // newest window first; within a window as above
  };
  std::string pipeline{};
  std::vector<std::string> columns{};   // empty: all, in the order above
  std::vector<ColumnFilter> filters{};  // all of them hold
  TimeRange range{};
  Order order = Order::kAscending;
  std::optional<std::uint64_t> limit{};
  std::string cursor{};  // RowStream::next_cursor of the page before, with the same query; empty: from the start
};

// The answer to a query, read in pieces. One thread; may outlive neither the store nor, if slow, its patience: an open stream
// without limit keeps a snapshot of the store alive.
class RowStream {
 public:
  virtual ~RowStream() = default;
  virtual const Schema& schema() const = 0;
  // Replaces the contents of `into` by the next rows; false, with no rows, after the last. Strings live as long as `into`.
  virtual Result<bool> Next(ColumnBatch& into) = 0;
  // After the last row of a query with limit: where the next page starts, or empty when there is none.
  virtual const std::string& next_cursor() const = 0;
};

// Sums `sum` over the rows in range that pass the filters, for each value of `by`, and ranks: greater sum first, then the name
// in byte order of its UTF-8. For pipelines with tumbling windows: sliding ones hold an event several times.
struct TopQuery {
  std::string pipeline{};
  std::vector<ColumnFilter> filters{};
  TimeRange range{};
  std::string by{};   // a string column
  std::string sum{};  // an int64 column
  std::int64_t top = 10;
};
struct TopItem {
  std::optional<std::string> name{};
  std::optional<std::int64_t> sum{};  // none: beyond int64; it is ranked by its true value all the same
  std::int64_t rank = 0;              // 1, 2, 3 …
};

// Sums `sum` over the rows that pass the filters, for each step of `bucket` aligned to UTC; buckets without rows are left out.
struct HistoryQuery {
  std::string pipeline{};
  std::vector<ColumnFilter> filters{};
  TimeRange range{};
  std::chrono::milliseconds bucket{60'000};
  std::string sum{};  // an int64 column
};
struct HistoryPoint {
  EventTime start{};
  std::optional<std::int64_t> sum{};  // none: beyond int64
};

// Where final and corrected results are kept for questions: the end of the way for a consumer of a results topic. What was
// applied is there exactly once, because the consumed offsets are written in the transaction of the rows.
//
// Thread-safe; queries do not wait for Apply, and see whole transactions. Error kinds of all methods: kInvalidArgument (names
// the column, value or query part), kNotFound (unknown pipeline or generation; lists near names), kResourceExhausted (disk
// or memory full; a retry later is safe), kUnavailable and kIo (nothing of the call is kept, a retry is safe), kCorruption. Of a store on a
// server, kUnavailable and kDeadlineExceeded from Apply leave open whether it is there: Offsets tells, and the same again is safe. Its
// changes may also fail with kUnauthenticated, kPermissionDenied and kFailedPrecondition, which say what to do.
class StatisticsStore {
 public:
  virtual ~StatisticsStore() = default;

  // Makes room for a pipeline's results under one plan; nothing happens when it is there. A pipeline's first generation is
  // active at once. kFailedPrecondition when the generation is there with another shape.
  virtual Status Ensure(const ResultShape& shape, std::uint64_t generation) = 0;
  // Makes the generation the one that queries see, and removes the pipeline's others.
  virtual Status Activate(const std::string& pipeline, std::uint64_t generation) = 0;
  virtual Result<std::vector<StatisticsTable>> Tables() = 0;

  // Takes the groups over in one transaction, all or nothing. A group below the stored offset of its partition is skipped. One of
  // a higher revision replaces the stored rows of its window and key, one of the same or a lower revision than a stored
  // correction is ignored. A revision 0 is the first of its group by the order of the log and is appended as it is.
  // kFailedPrecondition when a stored position lies before `since`: the store lost what it had, and the caller reads again from
  // Offsets.
  virtual Result<Applied> Apply(const ApplyRequest& request) = 0;
  // The stored positions in a topic: one past the last applied, for each partition seen.
  virtual Result<std::vector<ApplyRequest::Consumed>> Offsets(const std::string& pipeline, std::uint64_t generation,
                                                              const std::string& topic) = 0;

  virtual Result<std::unique_ptr<RowStream>> Select(const RowQuery& query) = 0;
  virtual Result<std::vector<TopItem>> Top(const TopQuery& query) = 0;
  virtual Result<std::vector<HistoryPoint>> History(const HistoryQuery& query) = 0;

  // Retention: removes the pipeline's windows that end at or before `end`; the number of rows removed.
  virtual Result<std::uint64_t> DeleteBefore(const std::string& pipeline, EventTime end) = 0;
};

// The columns of a row as queries show it: window_start, window_end, the shape's columns, state, revision.
Schema RowSchema(const ResultShape& shape);

// Values of a filter from text, as they come in a URL: by the column's type; the empty text is null for a column that may be
// null and is not a string. kInvalidArgument names the column and what was expected.
Result<ColumnFilter> ParseFilter(const Schema& rows, const std::string& column, std::span<const std::string> texts);

}  // namespace sightline::stores
