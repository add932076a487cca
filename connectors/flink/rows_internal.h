#pragma once

#include <set>
#include <string>
#include <vector>

#include "connectors/flink/job.h"
#include "connectors/flink/select_internal.h"
#include "sightline/flow/plan.h"

namespace sightline::flink {

// A join that nothing needed yet: it adds columns and changes nothing else, so that it may come as late as possible.
struct PendingJoin {
  const flow::EnrichOp* op = nullptr;
  std::string on;
  std::vector<std::string> columns;  // that it adds, in our names
};

// What a view holds: rows of records, or behind the aggregate rows of windows.
struct Rows {
  std::string relation;                // a view or table
  Schema schema;                       // as the plan has it here
  std::vector<std::string> carried;    // columns besides: the time, the window, where the record lies
  std::vector<PendingJoin> pending;
  bool closed = false;                 // rows of windows
  std::vector<std::string> order;      // columns in whose order rows of windows stand on our own engine
  WindowStep window;

  bool Lacks(const std::string& column) const;
};

// Writes the views of one job, one a step. Refusals are gathered; what follows one is still looked at.
class RowsWriter {
 public:
  RowsWriter(const flow::Plan& plan, const JobSettings& settings, std::vector<Statement>& statements, std::vector<std::string>& refusals)
      : plan_(plan), settings_(settings), statements_(statements), refusals_(refusals) {}

  // Steps that both records and rows of windows go through. `pipeline` is whose step it is, `after` the schema behind it.
  void Where(const std::string& pipeline, const flow::WhereOp& op, Rows& rows);
  void Derive(const std::string& pipeline, const flow::DeriveOp& op, const Schema& after, Rows& rows);
  void Enrich(const std::string& pipeline, const flow::EnrichOp& op, const Schema& after, Rows& rows);
  void Dedupe(const std::string& pipeline, const flow::DedupeOp& op, Rows& rows);
  void Rank(const std::string& pipeline, const flow::RankOp& op, const Schema& after, Rows& rows);
  void Regroup(const std::string& pipeline, const flow::RegroupOp& op, const Schema& after, Rows& rows);

  // Makes the columns that are still to be joined, if any of `columns` is one of them.
  void Need(const std::string& pipeline, const std::vector<std::string>& columns, Rows& rows);
  void JoinAll(const std::string& pipeline, Rows& rows);
  // Columns of the rows that are there, with what is carried.
  std::vector<std::string> Columns(const Rows& rows, std::string_view before = "") const;
  // The value of each aggregate and, behind them, the flag of sums that do not fit.
  std::vector<std::string> AggregateColumns(const std::vector<flow::Aggregate>& aggregates, const Schema& input, const Schema& after) const;

  void View(const std::string& pipeline, std::string_view suffix, std::string comment, std::string sql, Rows& rows);
  void Refuse(const std::string& pipeline, std::string what);

 private:
  void Join(const std::string& pipeline, const PendingJoin& join, bool inner, Rows& rows);
  void BackIntoWindows(const std::string& pipeline, Rows& rows);
  std::string FreshName(const std::string& pipeline, std::string_view suffix) const;

  const flow::Plan& plan_;
  const JobSettings& settings_;
  std::vector<Statement>& statements_;
  std::vector<std::string>& refusals_;
};

// Names of the columns that an expression reads.
std::vector<std::string> ColumnsOf(const flow::Expression& expression, const Schema& schema);
std::vector<std::string> NamesOf(const Schema& schema, std::span<const int> columns);

}  // namespace sightline::flink
