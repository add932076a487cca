#include "connectors/postgres/pgoutput.h"

#include <charconv>

#include "connectors/postgres/binary.h"

namespace sightline::postgres {

std::string LsnText(Lsn lsn) {
  char text[32];
  char* at = std::to_chars(text, text + 16, lsn >> 32, 16).ptr;
  *at++ = '/';
  at = std::to_chars(at, text + sizeof text, lsn & 0xFFFFFFFFU, 16).ptr;
  for (char* c = text; c != at; ++c) {
    if (*c >= 'a') *c = static_cast<char>(*c - 'a' + 'A');
  }
  return {text, at};
}

std::optional<Lsn> ParseLsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto half = [](std::string_view part) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
    if (part.empty() || error != std::errc() || end != part.data() + part.size()) return std::nullopt;
    return value;
  };
  const auto high = half(text.substr(0, slash));
  const auto low = half(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return static_cast<Lsn>(*high) << 32 | *low;
}

namespace pgoutput {
namespace {

// After the first read past the end every read gives nothing, and good() says so at the end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T Get() {
    if (bytes_.size() < sizeof(T)) {
      Break();
      return T{};
    }
    const T value = LoadBe<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view Take(std::size_t size) {
    if (bytes_.size() < size) {
      Break();
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  std::string_view String() {
    const std::size_t end = bytes_.find('\0');
    if (end == std::string_view::npos) {
      Break();
      return {};
    }
    const std::string_view text = bytes_.substr(0, end);
    bytes_.remove_prefix(end + 1);
    return text;
  }
  std::string_view rest() const { return bytes_; }
  bool good() const { return good_; }
  void Break() {
    good_ = false;
    bytes_ = {};
  }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

Tuple ReadTuple(Reader& reader) {
  Tuple tuple;
  const auto count = reader.Get<std::int16_t>();
  for (std::int16_t i = 0; i < count && reader.good(); ++i) {
    Cell cell;
    switch (reader.Get<char>()) {
      case 'n': break;
      case 'u': cell.kind = Cell::Kind::kUnchanged; break;
      case 't': {
        const auto size = reader.Get<std::int32_t>();
        cell.kind = Cell::Kind::kText;
        if (size < 0) reader.Break();
        cell.text = reader.Take(static_cast<std::size_t>(size < 0 ? 0 : size));
        break;
      }
      default: reader.Break();
    }
    tuple.push_back(cell);
  }
  if (count < 0) reader.Break();
  return tuple;
}

Relation ReadRelation(Reader& reader) {
  Relation relation;
  relation.id = reader.Get<std::uint32_t>();
  relation.schema = reader.String();
  relation.name = reader.String();
  (void)reader.Get<char>();  // the kind of identity: the columns say it
  const auto count = reader.Get<std::int16_t>();
  for (std::int16_t i = 0; i < count && reader.good(); ++i) {
    Relation::Column column;
    column.key = (reader.Get<char>() & 1) != 0;
    column.name = reader.String();
    (void)reader.Get<std::uint32_t>();  // type
    (void)reader.Get<std::int32_t>();   // type modifier
    relation.columns.push_back(std::move(column));
  }
  return relation;
}

Message ReadUpdate(Reader& reader) {
  Update update;
  update.relation = reader.Get<std::uint32_t>();
  char kind = reader.Get<char>();
  if (kind == 'K' || kind == 'O') {
    update.old = ReadTuple(reader);
    kind = reader.Get<char>();
  }
  if (kind != 'N') reader.Break();
  update.row = ReadTuple(reader);
  return update;
}

Message ReadMessage(Reader& reader) {
  switch (reader.Get<char>()) {
    case 'B': return Begin{reader.Get<Lsn>()};
    case 'C': {
      (void)reader.Get<char>();
      (void)reader.Get<Lsn>();
      return Commit{reader.Get<Lsn>()};
    }
    case 'R': return ReadRelation(reader);
    case 'I': {
      Insert insert;
      insert.relation = reader.Get<std::uint32_t>();
      if (reader.Get<char>() != 'N') reader.Break();
      insert.row = ReadTuple(reader);
      return insert;
    }
    case 'U': return ReadUpdate(reader);
    case 'D': {
      Delete removed;
      removed.relation = reader.Get<std::uint32_t>();
      const char kind = reader.Get<char>();
      if (kind != 'K' && kind != 'O') reader.Break();
      removed.old = ReadTuple(reader);
      return removed;
    }
    case 'T': {
      Truncate truncate;
      const auto count = reader.Get<std::int32_t>();
      (void)reader.Get<char>();
      for (std::int32_t i = 0; i < count && reader.good(); ++i) truncate.relations.push_back(reader.Get<std::uint32_t>());
      return truncate;
    }
    case 'O':
    case 'Y':
    case 'M': return Other{};
    default: reader.Break(); return Other{};
  }
}

}  // namespace

Result<Message> Parse(std::string_view bytes) {
  Reader reader(bytes);
  Message message = ReadMessage(reader);
  if (!reader.good()) return Fail(ErrorKind::kCorruption, "the replication stream has a message that is none of pgoutput's");
  return message;
}

Result<std::variant<Data, KeepAlive>> ParseEnvelope(std::string_view bytes) {
  Reader reader(bytes);
  const char kind = reader.Get<char>();
  if (kind == 'w') {
    Data data;
    (void)reader.Get<Lsn>();
    data.end = reader.Get<Lsn>();
    (void)reader.Get<std::int64_t>();
    data.payload = reader.rest();
    if (reader.good()) return data;
  } else if (kind == 'k') {
    KeepAlive alive;
    alive.end = reader.Get<Lsn>();
    (void)reader.Get<std::int64_t>();
    alive.answer = reader.Get<char>() != 0;
    if (reader.good()) return alive;
  }
  return Fail(ErrorKind::kCorruption, "the replication stream has a message of no known kind");
}

std::string StatusUpdate(Lsn kept, std::int64_t now_us) {
  std::string message = "r";
  PutBe(message, kept);  // written
  PutBe(message, kept);  // flushed
  PutBe(message, kept);  // applied
  PutBe(message, now_us);
  message.push_back('\0');
  return message;
}

}  // namespace pgoutput
}  // namespace sightline::postgres
