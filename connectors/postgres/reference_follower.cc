#include "connectors/postgres/reference_follower.h"

#include <algorithm>

#include "connectors/postgres/examination_internal.h"
#include "connectors/postgres/followed_table.h"
#include "connectors/postgres/replication_session.h"

namespace sightline::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kBackoffMin{100};
constexpr milliseconds kBackoffMax{10'000};
constexpr milliseconds kStandBy{1'000};
constexpr milliseconds kListen{100};
constexpr std::uint64_t kStateBytesMax = 4ULL << 30;
constexpr std::int64_t kYear2000Us = 946'684'800'000'000;

std::int64_t Ns(milliseconds time) { return nanoseconds(time).count(); }

}  // namespace

// One connection's life: from the kept state, or a new snapshot, along the stream until an error or the end.
class ReferenceFollower::Session {
 public:
  explicit Session(ReferenceFollower& follower) : f_(follower), clock_(follower.runtime_.clock) {}

  Status Run(const std::stop_token& stop) {
    SL_TRY(Prepare());
    SL_TRY(replication_->StartStream("START_REPLICATION SLOT " + Quote(f_.options_.slot) + " LOGICAL " + LsnText(table_.position()) +
                                     " (proto_version '1', publication_names " + Literal(Quote(f_.options_.publication)) + ")"));
    received_ = table_.position();
    SL_TRY(Confirm());
    while (!stop.stop_requested()) SL_TRY(Step());
    return {};
  }

 private:
  Status Prepare() {
    const FollowerOptions& options = f_.options_;
    SL_ASSIGN_OR_RETURN(Connection connection, Connection::Open(f_.parameters_, clock_));
    SL_ASSIGN_OR_RETURN(Connection replication, Connection::Open(f_.parameters_, clock_, Connection::Purpose::kReplication));
    connection_.emplace(std::move(connection));
    replication_.emplace(std::move(replication));
    SL_ASSIGN_OR_RETURN(const TableDescription description, DescribeTable(*connection_, options));
    SL_TRY(EnsurePublication(*connection_, options, description));
    SL_ASSIGN_OR_RETURN(const bool goes_on, Resume(description));
    if (goes_on) {
      // What was kept may not have been taken before the end.
      return Give();
    }
    SL_TRY(TakeSnapshot(*connection_, *replication_, options, description, table_));
    f_.Note([](FollowerStatus& status) { ++status.snapshots; });
    f_.log_.Info(
        "a reference was read whole",
        {{"reference", options.reference}, {"table", description.Quoted()}, {"rows", table_.size()}, {"lsn", LsnText(table_.position())}});
    SL_TRY(Keep());
    return Give();
  }

  // Whether the kept state and the slot fit together; a slot that does not serve is removed, and said.
  Result<bool> Resume(const TableDescription& description) {
    const FollowerOptions& options = f_.options_;
    SL_ASSIGN_OR_RETURN(const std::optional<SlotState> slot, ReadSlot(*connection_, options));
    if (slot && slot->active) {
      return Fail(ErrorKind::kAlreadyExists, "the replication slot " + options.slot +
                                                 " is in use by somebody else: each server needs a slot of its own (references." +
                                                 options.reference + ".postgres.slot)");
    }
    auto bytes = runtime::ReadFile(f_.runtime_.files, options.state_file, kStateBytesMax);
    std::string why;
    if (bytes) {
      SL_ASSIGN_OR_RETURN(const std::string system, SystemIdentifier(*replication_));
      auto kept = FollowedTable::Deserialize(*bytes);
      const FollowedTable::Origin now{.system = system,
                                      .slot = options.slot,
                                      .table = description.Quoted(),
                                      .columns = description.columns,
                                      .identity = description.identity};
      if (!kept) {
        why = kept.error().message;
      } else if (kept->origin() != now) {
        why = "the server, the slot or the table's columns are others than before";
      } else if (!slot) {
        why = "the slot " + options.slot + " is gone: changes since " + LsnText(kept->position()) + " are not known one by one";
      } else if (!slot->usable) {
        why = "the slot " + options.slot + " is lost: " + slot->why;
      } else if (slot->confirmed > kept->position()) {
        why = "the slot " + options.slot + " was moved to " + LsnText(slot->confirmed) + ", beyond what is kept here (" +
              LsnText(kept->position()) + ")";
      } else {
        table_ = *std::move(kept);
        return true;
      }
      f_.log_.Warning("a followed reference is read whole again", {{"reference", options.reference}, {"why", why}});
    } else if (bytes.error().kind != ErrorKind::kNotFound) {
      return std::unexpected(std::move(bytes).error());
    } else if (slot) {
      f_.log_.Warning("the replication slot is there and nothing is kept here of it: it is made anew",
                      {{"reference", options.reference}, {"slot", options.slot}});
    }
    if (slot) {
      const std::vector<Parameter> parameters = {Parameter::Text(options.slot)};
      SL_TRY(connection_->Query("SELECT pg_drop_replication_slot($1::name)", parameters));
    }
    return false;
  }

  Status Step() {
    const std::int64_t now = clock_.MonotonicNs();
    milliseconds patience = kListen;
    if (dirty_) patience = std::clamp(std::chrono::duration_cast<milliseconds>(nanoseconds(DueNs() - now)), milliseconds(1), kListen);
    SL_ASSIGN_OR_RETURN(const std::optional<std::string> message, replication_->ReceiveMessage(patience));
    if (message) SL_TRY(Handle(*message));
    const std::int64_t after = clock_.MonotonicNs();
    if (dirty_ && !in_transaction_ && after >= DueNs()) {
      SL_TRY(Keep());
      SL_TRY(Give());
      SL_TRY(Confirm());
    }
    if (after >= beat_at_ns_) SL_TRY(Beat());
    return {};
  }

  std::int64_t DueNs() const { return std::max(dirty_since_ns_ + Ns(f_.options_.gather), given_at_ns_ + Ns(f_.options_.between)); }

  Status Handle(const std::string& bytes) {
    SL_ASSIGN_OR_RETURN(const auto envelope, pgoutput::ParseEnvelope(bytes));
    if (const auto* alive = std::get_if<pgoutput::KeepAlive>(&envelope)) {
      received_ = std::max(received_, alive->end);
      if (alive->answer) return Confirm();
      return {};
    }
    const auto& data = std::get<pgoutput::Data>(envelope);
    received_ = std::max(received_, data.end);
    SL_ASSIGN_OR_RETURN(const pgoutput::Message message, pgoutput::Parse(data.payload));
    return std::visit([this](const auto& one) { return Take(one); }, message);
  }

  Status Take(const pgoutput::Begin&) {
    in_transaction_ = true;
    touched_ = false;
    return {};
  }
  Status Take(const pgoutput::Commit& commit) {
    in_transaction_ = false;
    committed_ = commit.end;
    if (!touched_) return {};
    if (!dirty_) dirty_since_ns_ = clock_.MonotonicNs();
    dirty_ = true;
    f_.Note([](FollowerStatus& status) { ++status.transactions; });
    return {};
  }
  Status Take(const pgoutput::Relation& relation) {
    if (Quote(relation.schema) + "." + Quote(relation.name) != table_.origin().table) return {};
    relation_ = relation.id;
    const Status described = table_.Describe(relation);
    return described ? Status() : Anew(described.error());
  }
  Status Take(const pgoutput::Insert& insert) {
    if (insert.relation != relation_) return {};
    touched_ = true;
    return table_.Insert(insert.row);
  }
  Status Take(const pgoutput::Update& update) {
    if (update.relation != relation_) return {};
    touched_ = true;
    const Status updated = table_.Update(update);
    return updated || updated.error().kind != ErrorKind::kFailedPrecondition ? updated : Anew(updated.error());
  }
  Status Take(const pgoutput::Delete& removed) {
    if (removed.relation != relation_) return {};
    touched_ = true;
    return table_.Remove(removed.old);
  }
  Status Take(const pgoutput::Truncate& truncate) {
    if (std::ranges::find(truncate.relations, relation_) == truncate.relations.end()) return {};
    touched_ = true;
    table_.Clear();
    return {};
  }
  Status Take(const pgoutput::Other&) { return {}; }

  // What is kept does not serve any more: the next session reads the table whole.
  Status Anew(const Error& error) {
    f_.log_.Warning("a followed reference is read whole again", {{"reference", f_.options_.reference}, {"why", error.message}});
    (void)f_.runtime_.files.Remove(f_.options_.state_file);
    return std::unexpected(error);
  }

  // Rows and position, durable before the server hears of it.
  Status Keep() {
    if (dirty_) table_.MoveTo(committed_);
    SL_TRY(runtime::WriteFileAtomically(f_.runtime_.files, f_.options_.state_file, table_.Serialize()));
    kept_ = table_.position();
    dirty_ = false;
    return {};
  }

  Status Give() {
    given_at_ns_ = clock_.MonotonicNs();
    const Status taken = f_.take_(table_.Lines(f_.options_.schema));
    if (!taken) {
      f_.log_.Warning("a reference's rows are refused; the version in effect stays",
                      {{"reference", f_.options_.reference}, {"error", taken.error().message}});
    }
    f_.Note([&](FollowerStatus& status) {
      status.following = true;
      status.standing_by = false;
      status.error = taken ? std::nullopt : std::optional(taken.error().message);
      if (taken) ++status.versions;
    });
    return {};
  }

  // While nothing waits, everything that was received is done with: the table's own changes, and those of others, which pin the server's
  // log no longer.
  Status Confirm() {
    const bool rests = !dirty_ && !in_transaction_;
    const Lsn position = rests ? std::max(received_, table_.position()) : table_.position();
    const std::int64_t now_us = clock_.Now().value * 1000 - kYear2000Us;
    // A position beyond the kept one is not written down: changes behind it are sent again and nothing is missing.
    if (rests && position > kept_ && position - kept_ >= kKeepEvery) {
      table_.MoveTo(position);
      SL_TRY(Keep());
    }
    return replication_->SendMessage(pgoutput::StatusUpdate(rests ? kept_ : std::min(kept_, position), now_us));
  }

  Status Beat() {
    const FollowerOptions& options = f_.options_;
    beat_at_ns_ = clock_.MonotonicNs() + Ns(options.heartbeat);
    if (!dirty_ && !in_transaction_ && received_ > kept_) {
      table_.MoveTo(received_);
      SL_TRY(Keep());
    }
    SL_TRY(Confirm());
    SL_ASSIGN_OR_RETURN(const std::optional<SlotState> slot, ReadSlot(*connection_, options));
    if (!slot) return {};
    const bool alarm = slot->lag_bytes > static_cast<std::int64_t>(options.lag_bytes_max);
    bool before = false;
    f_.Note([&](FollowerStatus& status) {
      before = status.slot_lag_alarm;
      status.slot_lag_bytes = slot->lag_bytes;
      status.slot_lag_alarm = alarm;
    });
    if (alarm && !before) {
      f_.log_.Error(
          "the server keeps more of its log for a reference's slot than it should; look for long transactions there, and whether this "
          "server keeps up",
          {{"reference", options.reference}, {"slot", options.slot}, {"bytes", slot->lag_bytes}});
    }
    return {};
  }

  // Bytes of others' log between two writings of the position outside of heartbeats.
  static constexpr Lsn kKeepEvery = 16U << 20;

  ReferenceFollower& f_;
  runtime::Clock& clock_;
  std::optional<Connection> connection_;
  std::optional<Connection> replication_;
  FollowedTable table_;
  std::uint32_t relation_ = 0;
  bool in_transaction_ = false;
  bool touched_ = false;  // the present transaction changes the table
  bool dirty_ = false;    // changes that are not kept yet
  std::int64_t dirty_since_ns_ = 0;
  std::int64_t given_at_ns_ = INT64_MIN / 2;
  std::int64_t beat_at_ns_ = 0;
  Lsn committed_ = 0;  // the end of the newest transaction
  Lsn received_ = 0;   // how far the server has sent
  Lsn kept_ = 0;       // what the file says
};

ReferenceFollower::ReferenceFollower(const runtime::Runtime& runtime, FollowerOptions options, ConnectionParameters parameters, Take take,
                                     ops::Log log)
    : runtime_(runtime), options_(std::move(options)), parameters_(std::move(parameters)), take_(std::move(take)), log_(std::move(log)) {}

Result<std::unique_ptr<ReferenceFollower>> ReferenceFollower::Start(const runtime::Runtime& runtime, FollowerOptions options, Take take,
                                                                    ops::Log log) {
  SL_ASSIGN_OR_RETURN(ConnectionParameters parameters, ParseConnection(options.connection));
  std::unique_ptr<ReferenceFollower> follower(
      new ReferenceFollower(runtime, std::move(options), std::move(parameters), std::move(take), std::move(log)));
  follower->thread_ = std::jthread([raw = follower.get()](const std::stop_token& stop) { raw->Run(stop); });
  return follower;
}

ReferenceFollower::~ReferenceFollower() = default;

template <typename Change>
void ReferenceFollower::Note(Change change) {
  {
    const std::lock_guard lock(mutex_);
    change(status_);
  }
  changed_.notify_all();
}

FollowerStatus ReferenceFollower::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

Status ReferenceFollower::AwaitFirst(milliseconds patience) {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, patience, [this] { return status_.versions > 0 || status_.standing_by; })) return {};
  return Fail(ErrorKind::kUnavailable, "reference " + options_.reference + ": " + status_.error.value_or("its table was not read in time"));
}

void ReferenceFollower::Run(const std::stop_token& stop) {
  milliseconds backoff{0};
  std::string said;
  while (!stop.stop_requested()) {
    const std::int64_t start = runtime_.clock.MonotonicNs();
    Status ended;
    {
      Session session(*this);
      ended = session.Run(stop);
    }
    if (ended) continue;
    // One that worked for a while begins anew at once.
    if (runtime_.clock.MonotonicNs() - start > Ns(kBackoffMax)) backoff = milliseconds(0);
    backoff = std::clamp(backoff * 2, kBackoffMin, kBackoffMax);
    const bool taken = options_.shared && ended.error().kind == ErrorKind::kAlreadyExists;
    Note([&](FollowerStatus& status) {
      status.following = false;
      status.standing_by = taken;
      status.error = taken ? std::nullopt : std::optional(ended.error().ToString());
    });
    if (taken) {
      if (said != options_.slot) log_.Info("another process follows a reference; this one stands by", {{"reference", options_.reference}});
      said = options_.slot;
      backoff = kStandBy;
    } else if (const std::string text = ended.error().ToString(); text != said) {
      log_.Warning("a reference cannot be followed and is tried again; the version in effect stays",
                   {{"reference", options_.reference}, {"error", text}});
      said = text;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, backoff, [] { return false; });
  }
}

Result<std::string> ReadTableOnce(const FollowerOptions& options, const runtime::Clock& clock) {
  SL_ASSIGN_OR_RETURN(const ConnectionParameters parameters, ParseConnection(options.connection));
  SL_ASSIGN_OR_RETURN(Connection connection, Connection::Open(parameters, clock));
  SL_ASSIGN_OR_RETURN(const TableDescription description, DescribeTable(connection, options));
  FollowedTable table;
  table.Begin({.system = "", .slot = "", .table = description.Quoted(), .columns = description.columns, .identity = description.identity},
              0);
  SL_TRY(ReadRows(connection, description, table));
  return table.Lines(options.schema);
}

std::vector<Check> ExamineReference(const FollowerOptions& options, const runtime::Clock& clock) {
  using enum Check::Health;
  std::vector<Check> checks;
  auto connection = ExamineConnection(options.connection, clock, checks);
  if (!connection) return checks;
  const auto look = [&]() -> Status {
    SL_ASSIGN_OR_RETURN(
        const Answer rows,
        connection->Query(
            "SELECT current_setting('wal_level'), (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
            " current_setting('max_slot_wal_keep_size'), current_setting('max_replication_slots')::bigint -"
            " (SELECT count(*) FROM pg_replication_slots)"));
    const std::string user = Quote(connection->parameters().user);
    if (rows.Text(0, 0) != "logical") {
      checks.push_back(
          {"wal_level", kProblem, "wal_level is " + rows.Text(0, 0), "ALTER SYSTEM SET wal_level = logical, and restart that server"});
    }
    if (!rows.Bool(0, 1)) checks.push_back({"rights", kProblem, user + " may not replicate", "ALTER ROLE " + user + " REPLICATION"});
    if (rows.Text(0, 2) == "-1") {
      checks.push_back({"log kept", kWarning, "max_slot_wal_keep_size is unlimited: while this server is away, that one's disk may fill up",
                        "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf()"});
    }
    auto table = DescribeTable(*connection, options);
    if (table) {
      checks.push_back({"table", kGood, table->Quoted() + " has what the contract asks for", ""});
    } else {
      const std::string& message = table.error().message;
      const std::size_t cut = std::min(message.find("; "), message.find(". "));
      checks.push_back({"table", kProblem, message.substr(0, cut), cut == std::string::npos ? "make it" : message.substr(cut + 2)});
    }
    SL_ASSIGN_OR_RETURN(const std::optional<SlotState> slot, ReadSlot(*connection, options));
    if (!slot) {
      const bool room = rows.Int64(0, 3) > 0;
      checks.push_back({"slot", room ? kGood : kProblem, room ? options.slot + " will be made" : "no replication slot is free",
                        room ? "" : "raise max_replication_slots there"});
    } else if (!slot->usable) {
      checks.push_back({"slot", kWarning, options.slot + ": " + slot->why, "the next start reads the table whole and makes it anew"});
    } else {
      const bool late = slot->lag_bytes > static_cast<std::int64_t>(options.lag_bytes_max);
      checks.push_back(
          {"slot", late ? kWarning : kGood,
           options.slot + (slot->active ? " is in use, " : " waits, ") + std::to_string(slot->lag_bytes >> 20) + " MiB behind",
           late ? "start the server that follows it, or drop the slot: SELECT pg_drop_replication_slot(" + Literal(options.slot) + ")"
                : ""});
    }
    return {};
  };
  if (const Status looked = look(); !looked) AddCheck(checks, "replication", std::unexpected(looked.error()));
  return checks;
}

}  // namespace sightline::postgres
