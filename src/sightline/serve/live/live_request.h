#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sightline/base/result.h"
#include "sightline/model/result.h"
#include "sightline/security/principal.h"
#include "sightline/serve/http.h"
#include "sightline/serve/live/live_entry.h"

namespace sightline::serve {

// Which groups a client sees: for each column one of the values. A client's own choice and what is granted to it, in one.
class LiveFilter {
 public:
  // `column` counts the group columns. A second set for the same column narrows it further.
  void Narrow(std::size_t column, std::set<std::string> any_of);
  bool Passes(const LiveKey& key) const;
  bool everything() const { return conditions_.empty(); }
  // The same text for filters that let the same groups pass, whatever the order they were written in.
  std::string Canonical() const;

 private:
  struct Condition {
    std::size_t column;
    std::set<std::string> any_of;
  };
  std::vector<Condition> conditions_;  // by column
};

// How far a client has seen a pipeline. As text it is opaque: base64url of epoch, incarnation, version and the filter's hash.
struct LiveToken {
  std::uint64_t epoch = 0;        // of the board
  std::uint64_t incarnation = 0;  // of the pipeline on it
  std::uint64_t version = 0;
  std::uint64_t filter = 0;
  std::string ToString() const;
  // Nothing when the text is no token; the client then starts over.
  static std::optional<LiveToken> Parse(std::string_view text);
};

// What a client of /v1/pipelines/{p}/live asks for.
struct LiveRequest {
  std::string pipeline;
  LiveFilter filter;
  std::int64_t interval_ns = 200'000'000;  // between messages; 0: every change
  std::optional<LiveToken> resume;
};

// Reads filters, rate and resume from a query. kInvalidArgument names the parameter; kPermissionDenied when the grants name a
// column that is none of the pipeline's group columns.
Result<LiveRequest> ParseLiveRequest(const ResultShape& shape, const Parameters& query, const security::Principal& principal);

}  // namespace sightline::serve
