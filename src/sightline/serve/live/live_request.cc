#include "sightline/serve/live/live_request.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "sightline/base/bytes.h"
#include "sightline/base/text.h"
#include "sightline/model/live.h"
#include "sightline/security/secret.h"

namespace sightline::serve {
namespace {

constexpr double kRateMin = 0.01;

// The value as LiveText writes it.
Result<std::string> Normal(const Field& field, std::string_view text) {
  const auto wrong = [&](std::string_view expected) {
    return Fail(ErrorKind::kInvalidArgument, field.name + " must be " + std::string(expected) + ", not '" + std::string(text) + "'");
  };
  switch (field.type) {
    case FieldType::kString: return std::string(text);
    case FieldType::kBool: return text == "true" || text == "false" ? Result<std::string>(text) : wrong("true or false");
    case FieldType::kInt64: {
      const auto value = ParseInt64(text);
      if (!value) return wrong("an integer");
      return std::to_string(*value);
    }
    case FieldType::kDouble: {
      Column column;
      column.type = FieldType::kDouble;
      column.doubles.resize(1);
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), column.doubles[0]);
      if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return wrong("a number");
      return LiveText(column, 0);
    }
  }
  return wrong("something else");
}

Result<std::int64_t> ParseRate(std::string_view text) {
  if (text == "all") return 0;
  double rate = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), rate);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      !(rate >= kRateMin && rate <= static_cast<double>(kLiveRateMax))) {
    return Fail(ErrorKind::kInvalidArgument, "rate must be 'all' or messages a second from 0.01 to " + std::to_string(kLiveRateMax) +
                                                 ", not '" + std::string(text) + "'");
  }
  return static_cast<std::int64_t>(1e9 / rate);
}

// Position among the group columns, or -1.
int GroupColumn(const ResultShape& shape, std::string_view name) {
  for (std::size_t i = 0; i < shape.group.size(); ++i) {
    if (shape.schema.fields[static_cast<std::size_t>(shape.group[i])].name == name) return static_cast<int>(i);
  }
  return -1;
}

std::unexpected<Error> NoSuchColumn(const ResultShape& shape, const std::string& name) {
  std::string message = "'" + name + "' is no parameter here; filters go by the pipeline's group columns";
  std::vector<std::string_view> names = {"rate", "resume"};
  for (const int column : shape.group) {
    names.push_back(shape.schema.fields[static_cast<std::size_t>(column)].name);
    message += names.size() == 3 ? " (" : ", ";
    message += names.back();
  }
  if (names.size() > 2) message += ")";
  if (const auto near = DidYouMean(name, names); !near.empty()) message += "; did you mean '" + std::string(near) + "'?";
  return Fail(ErrorKind::kInvalidArgument, std::move(message));
}

}  // namespace

void LiveFilter::Narrow(std::size_t column, std::set<std::string> any_of) {
  auto at = std::ranges::lower_bound(conditions_, column, {}, &Condition::column);
  if (at == conditions_.end() || at->column != column) {
    conditions_.insert(at, Condition{column, std::move(any_of)});
    return;
  }
  std::erase_if(at->any_of, [&](const std::string& value) { return !any_of.contains(value); });
}

bool LiveFilter::Passes(const LiveKey& key) const {
  return std::ranges::all_of(conditions_, [&](const Condition& c) { return c.any_of.contains(key.values[c.column]); });
}

std::string LiveFilter::Canonical() const {
  std::string text;
  ByteWriter to(text);
  for (const auto& condition : conditions_) {
    to.PutVarint(condition.column);
    to.PutVarint(condition.any_of.size());
    for (const auto& value : condition.any_of) to.PutString(value);
  }
  return text;
}

std::string LiveToken::ToString() const {
  std::string raw;
  ByteWriter to(raw);
  to.Put(epoch);
  to.Put(filter);
  to.PutVarint(incarnation);
  to.PutVarint(version);
  return security::Base64Url(raw);
}

std::optional<LiveToken> LiveToken::Parse(std::string_view text) {
  if (text.size() > 64) return std::nullopt;
  const auto raw = security::ParseBase64Url(text);
  if (!raw) return std::nullopt;
  ByteReader from(*raw);
  LiveToken token;
  token.epoch = from.Get<std::uint64_t>();
  token.filter = from.Get<std::uint64_t>();
  token.incarnation = from.GetVarint();
  token.version = from.GetVarint();
  if (!from.done()) return std::nullopt;
  return token;
}

Result<LiveRequest> ParseLiveRequest(const ResultShape& shape, const Parameters& query, const security::Principal& principal) {
  LiveRequest request;
  request.pipeline = shape.pipeline;
  std::map<std::size_t, std::set<std::string>> chosen;
  for (const auto& [name, value] : query) {
    if (name == "rate") {
      SL_ASSIGN_OR_RETURN(request.interval_ns, ParseRate(value));
    } else if (name == "resume") {
      request.resume = LiveToken::Parse(value);
    } else {
      const int column = GroupColumn(shape, name);
      if (column < 0) return NoSuchColumn(shape, name);
      const auto index = static_cast<std::size_t>(column);
      SL_ASSIGN_OR_RETURN(std::string normal, Normal(shape.schema.fields[static_cast<std::size_t>(shape.group[index])], value));
      chosen[index].insert(std::move(normal));
    }
  }
  for (auto& [column, values] : chosen) request.filter.Narrow(column, std::move(values));
  if (principal.grants) {
    const int column = GroupColumn(shape, principal.grants->column);
    if (column < 0) {
      return Fail(ErrorKind::kPermissionDenied, "the results of '" + shape.pipeline + "' are not by " + principal.grants->column +
                                                    ", and '" + principal.name + "' may see some of those only");
    }
    request.filter.Narrow(static_cast<std::size_t>(column),
                          std::set<std::string>(principal.grants->values.begin(), principal.grants->values.end()));
  }
  return request;
}

}  // namespace sightline::serve
