#include "sightline/flow/commits/port.h"

namespace sightline::flow {

Status CommitLog::NoteTick(const IdleTick&) { return Fail(ErrorKind::kInternal, "idle time stands in the input's log"); }

void PutPoint(const CommitPoint& point, ByteWriter& out) {
  out.PutVarint(point.inputs.size());
  for (std::int64_t input : point.inputs) out.Put(input);
  out.PutVarint(point.outputs.size());
  for (std::int64_t output : point.outputs) out.Put(output);
}

CommitPoint GetPoint(ByteReader& in) {
  CommitPoint point;
  const std::uint64_t inputs = in.GetVarint();
  for (std::uint64_t i = 0; i < inputs && in.ok(); ++i) point.inputs.push_back(in.Get<std::int64_t>());
  const std::uint64_t outputs = in.GetVarint();
  for (std::uint64_t i = 0; i < outputs && in.ok(); ++i) point.outputs.push_back(in.Get<std::int64_t>());
  return point;
}

void PutSnapshot(const Snapshot& snapshot, ByteWriter& out) {
  PutPoint(snapshot.point, out);
  PutPoint(snapshot.origin, out);
  out.PutVarint(snapshot.topics.size());
  for (const std::string& topic : snapshot.topics) out.PutString(topic);
  out.PutVarint(snapshot.references.size());
  for (const auto& [name, version] : snapshot.references) {
    out.PutString(name);
    out.Put(version);
  }
}

Snapshot GetSnapshot(ByteReader& in) {
  Snapshot snapshot;
  snapshot.point = GetPoint(in);
  snapshot.origin = GetPoint(in);
  const std::uint64_t topics = in.GetVarint();
  for (std::uint64_t i = 0; i < topics && in.ok(); ++i) snapshot.topics.emplace_back(in.GetString());
  const std::uint64_t references = in.GetVarint();
  for (std::uint64_t i = 0; i < references && in.ok(); ++i) {
    const std::string name(in.GetString());
    snapshot.references[name] = in.Get<std::uint64_t>();
  }
  return snapshot;
}

}  // namespace sightline::flow
