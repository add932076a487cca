#include "sightline/serve/live/live_hub.h"

#include <algorithm>
#include <cassert>

#include "sightline/base/hash.h"
#include "sightline/base/text.h"

namespace sightline::serve {
namespace {

constexpr std::int64_t kQuietNs = 15'000'000'000;
constexpr auto kQuietCheck = std::chrono::seconds(1);
// A channel of up to so many groups looks at each of them; a wider one goes through the changes.
constexpr std::size_t kFewKeys = 64;
// Ticks of a channel come a little late; that much earlier than a whole interval is still the next tick.
constexpr std::int64_t kTickSlack = 10;
// Clients that are far apart in what they have seen share nothing: beyond so many, messages are not kept for others.
constexpr std::size_t kFramesMax = 64;

}  // namespace

// Clients that see the same groups at the same rate.
struct LiveHub::Channel {
  Pipeline* pipeline = nullptr;
  LiveFilter filter;
  std::uint64_t filter_hash = 0;
  std::int64_t interval_ns = 0;
  std::vector<std::shared_ptr<Client>> clients;
  std::vector<std::uint32_t> keys;  // ascending; those that pass the filter (unused when it lets everything pass)
  std::uint64_t changed = 0;        // version of the last change that passes
  bool dirty = false;
  // Until then every client that is not busy waits for its tick: nobody has to be asked.
  std::int64_t serve_after_ns = 0;
  // Messages up to the pipeline's present version, by what their receivers have seen before.
  struct Frame {
    std::uint64_t from;
    First first;
    StreamMessage message;
  };
  std::uint64_t frames_version = 0;
  std::vector<Frame> frames;
};

struct LiveHub::Pipeline {
  std::string name;
  std::uint64_t incarnation = 0;
  std::uint64_t version = 0;
  LiveView view;
  std::map<std::string, std::unique_ptr<Channel>> channels;  // by rate and canonical filter
  std::vector<Channel*> everything;                          // channels without a filter
  std::vector<std::vector<Channel*>> by_key;                 // filtered channels that see the key
  std::vector<std::shared_ptr<const LiveKey>> keys;          // null for ids that were not seen yet
  std::vector<Channel*> dirty;
};

struct LiveHub::Client {
  std::shared_ptr<Stream> stream;
  Channel* channel = nullptr;
  std::size_t index = 0;  // in channel->clients
  First first = First::kSnapshot;
  std::uint64_t version = 0;      // seen, or on its way
  std::uint64_t incarnation = 0;  // of the pipeline that `version` is of
  std::int64_t next_ns = 0;
  std::int64_t last_ns = 0;
  bool in_flight = false;
  bool scheduled = false;
  bool closed = false;
};

class LiveHub::Listener final : public StreamListener {
 public:
  Listener(std::weak_ptr<LiveHub> hub, std::shared_ptr<Client> client) : hub_(std::move(hub)), client_(std::move(client)) {}
  void OnSent() override {
    if (const auto hub = hub_.lock()) hub->OnSent(client_);
  }
  void OnClosed() override {
    if (const auto hub = hub_.lock()) hub->OnClosed(client_);
    client_->stream = nullptr;
  }

 private:
  std::weak_ptr<LiveHub> hub_;
  std::shared_ptr<Client> client_;
};

std::shared_ptr<LiveHub> LiveHub::Make(LiveBoard& board, Loop& loop, const runtime::Clock& clock, ops::Metrics& metrics) {
  std::shared_ptr<LiveHub> hub(new LiveHub(board, loop, clock, metrics));
  hub->subscription_ = board.Subscribe([weak = std::weak_ptr(hub)] {
    if (const auto there = weak.lock()) there->Wake();
  });
  return hub;
}

LiveHub::LiveHub(LiveBoard& board, Loop& loop, const runtime::Clock& clock, ops::Metrics& metrics)
    : board_(board), loop_(loop), clock_(clock), ping_(std::make_shared<const std::string>("{\"type\":\"ping\"}")) {
  open_ = metrics.AddGauge("sightline_live_clients", "Clients of live views.");
  messages_ = metrics.AddCounter("sightline_live_messages_total", "Messages handed to clients of live views.");
  bytes_ = metrics.AddCounter("sightline_live_bytes_total", "Bytes of those messages.");
}

LiveHub::~LiveHub() = default;

// From any thread. However much is published until the loop gets to it, it is woken once.
void LiveHub::Wake() {
  if (awake_.exchange(true)) return;
  loop_.Post([weak = weak_from_this()] {
    if (const auto hub = weak.lock()) {
      hub->awake_ = false;
      hub->Pump();
    }
  });
}

void LiveHub::Pump() {
  for (const auto& [name, pipeline] : pipelines_) {
    if (!pipeline->channels.empty()) PumpPipeline(*pipeline);
  }
}

void LiveHub::PumpPipeline(Pipeline& pipeline) {
  auto changes = board_.Since(pipeline.name, pipeline.incarnation, pipeline.version);
  if (changes.incarnation != pipeline.incarnation) {
    // It starts over: everybody gets a snapshot of the new results.
    pipeline.view.Clear();
    pipeline.keys.clear();
    pipeline.by_key.clear();
    for (const auto& [id, channel] : pipeline.channels) {
      channel->keys.clear();
      channel->frames.clear();
      channel->changed = changes.version;
      channel->serve_after_ns = 0;
      if (!std::exchange(channel->dirty, true)) pipeline.dirty.push_back(channel.get());
    }
  }
  pipeline.incarnation = changes.incarnation;
  pipeline.version = changes.version;
  for (const auto& entry : changes.entries) NoteChange(pipeline, entry);
  for (Channel* channel : std::exchange(pipeline.dirty, {})) {
    channel->dirty = false;
    Serve(*channel);
  }
}

void LiveHub::NoteChange(Pipeline& pipeline, const std::shared_ptr<const LiveEntry>& entry) {
  const std::uint32_t id = entry->key().id;
  pipeline.view.Apply(entry);
  if (id >= pipeline.keys.size()) {
    pipeline.keys.resize(id + 1);
    pipeline.by_key.resize(id + 1);
  }
  if (pipeline.keys[id] == nullptr) {
    pipeline.keys[id] = entry->shared_key();
    for (const auto& [text, channel] : pipeline.channels) {
      if (channel->filter.everything() || !channel->filter.Passes(entry->key())) continue;
      pipeline.by_key[id].push_back(channel.get());
      channel->keys.insert(std::ranges::lower_bound(channel->keys, id), id);
    }
  }
  const auto note = [&](Channel* channel) {
    channel->changed = entry->version();
    if (!std::exchange(channel->dirty, true)) pipeline.dirty.push_back(channel);
  };
  for (Channel* channel : pipeline.everything) note(channel);
  for (Channel* channel : pipeline.by_key[id]) note(channel);
}

LiveHub::Pipeline& LiveHub::PipelineOf(const std::string& name) {
  auto& slot = pipelines_[name];
  if (slot == nullptr) {
    slot = std::make_unique<Pipeline>();
    slot->name = name;
  }
  return *slot;
}

LiveHub::Channel& LiveHub::ChannelOf(Pipeline& pipeline, const LiveRequest& request) {
  const std::string canonical = request.filter.Canonical();
  auto& slot = pipeline.channels[std::to_string(request.interval_ns) + ':' + canonical];
  if (slot != nullptr) return *slot;
  slot = std::make_unique<Channel>();
  slot->pipeline = &pipeline;
  slot->filter = request.filter;
  slot->filter_hash = Hash64(canonical);
  slot->interval_ns = request.interval_ns;
  slot->changed = pipeline.version;
  if (slot->filter.everything()) {
    pipeline.everything.push_back(slot.get());
    return *slot;
  }
  for (std::uint32_t id = 0; id < pipeline.keys.size(); ++id) {
    if (pipeline.keys[id] == nullptr || !slot->filter.Passes(*pipeline.keys[id])) continue;
    slot->keys.push_back(id);
    pipeline.by_key[id].push_back(slot.get());
  }
  return *slot;
}

void LiveHub::Add(std::shared_ptr<Stream> stream, const LiveRequest& request) {
  Pipeline& pipeline = PipelineOf(request.pipeline);
  PumpPipeline(pipeline);
  Channel& channel = ChannelOf(pipeline, request);
  auto client = std::make_shared<Client>();
  client->stream = std::move(stream);
  client->channel = &channel;
  client->index = channel.clients.size();
  channel.serve_after_ns = 0;
  channel.clients.push_back(client);
  clients_.emplace(client.get(), client);
  ++client_count_;
  open_->Add(1);
  client->incarnation = pipeline.incarnation;
  const auto& token = request.resume;
  if (token && token->epoch == board_.epoch() && token->incarnation == pipeline.incarnation && token->version <= pipeline.version &&
      token->filter == channel.filter_hash) {
    client->first = First::kResumed;
    client->version = token->version;
  }
  client->stream->SetListener(std::make_shared<Listener>(weak_from_this(), client));
  TrySend(client);
  if (std::exchange(quiet_check_running_, true)) return;
  OnQuietCheck();
}

void LiveHub::Serve(Channel& channel) {
  if (clock_.MonotonicNs() < channel.serve_after_ns) return;
  std::int64_t after = INT64_MAX;
  // By index: a client may leave while it is served.
  for (std::size_t i = 0; i < channel.clients.size(); ++i) {
    const std::shared_ptr<Client> client = channel.clients[i];
    TrySend(client);
    if (!client->in_flight) after = std::min(after, client->scheduled ? client->next_ns : 0);
  }
  // Who is busy now is looked after by OnSent.
  channel.serve_after_ns = after;
}

void LiveHub::TrySend(const std::shared_ptr<Client>& client) {
  if (client->in_flight || client->closed) return;
  Channel& channel = *client->channel;
  Pipeline& pipeline = *channel.pipeline;
  if (client->incarnation != pipeline.incarnation) {
    client->incarnation = pipeline.incarnation;
    client->first = First::kSnapshot;
  }
  if (client->first == First::kNone) {
    if (client->version >= channel.changed) return;
    const std::int64_t now = clock_.MonotonicNs();
    if (now < client->next_ns) return ScheduleAt(client->next_ns, client);
  }
  const First first = std::exchange(client->first, First::kNone);
  const std::uint64_t from = first == First::kSnapshot ? 0 : client->version;
  client->version = pipeline.version;
  SendNow(*client, MessageFor(channel, from, first));
}

void LiveHub::SendNow(Client& client, StreamMessage message) {
  const std::int64_t now = clock_.MonotonicNs();
  client.in_flight = true;
  client.last_ns = now;
  // Ticks are multiples of the interval, so that a channel's clients come together and share their messages.
  if (const std::int64_t interval = client.channel->interval_ns; interval > 0) {
    client.next_ns = (now + interval - interval / kTickSlack + interval - 1) / interval * interval;
  }
  messages_->Add();
  bytes_->Add(message.json->size());
  client.stream->Send(std::move(message));
}

StreamMessage LiveHub::MessageFor(Channel& channel, std::uint64_t from, First first) {
  const Pipeline& pipeline = *channel.pipeline;
  if (channel.frames_version != pipeline.version) {
    channel.frames.clear();
    channel.frames_version = pipeline.version;
  }
  for (const auto& frame : channel.frames) {
    if (frame.from == from && frame.first == first) return frame.message;
  }
  StreamMessage message;
  message.type = first == First::kSnapshot ? "snapshot" : first == First::kResumed ? "resumed" : "change";
  message.id = LiveToken{board_.epoch(), pipeline.incarnation, pipeline.version, channel.filter_hash}.ToString();
  std::string json = "{\"type\":\"";
  json += message.type;
  json += '"';
  if (first != First::kNone) {
    json += ",\"pipeline\":";
    AppendJsonString(json, pipeline.name);
  }
  json += ",\"token\":\"";
  json += message.id;
  json += "\",\"groups\":[";
  Collect(channel, from, first, json);
  json += "]}";
  message.json = std::make_shared<const std::string>(std::move(json));
  if (channel.frames.size() < kFramesMax) channel.frames.push_back({from, first, message});
  return message;
}

void LiveHub::Collect(const Channel& channel, std::uint64_t from, First first, std::string& json) const {
  const LiveView& view = channel.pipeline->view;
  bool any = false;
  const auto add = [&](const std::shared_ptr<const LiveEntry>& entry) {
    if (first == First::kSnapshot && entry->empty()) return;
    if (any) json += ',';
    any = true;
    json += entry->Json();
  };
  const bool everything = channel.filter.everything();
  if (!everything && channel.keys.size() <= kFewKeys) {
    std::vector<std::shared_ptr<const LiveEntry>> found;
    for (const std::uint32_t key : channel.keys) view.ForEachOfKey(key, from, [&](const auto& entry) { found.push_back(entry); });
    std::ranges::sort(found, {}, [](const auto& entry) { return entry->version(); });
    for (const auto& entry : found) add(entry);
    return;
  }
  view.ForEachSince(from, [&](const auto& entry) {
    if (everything || std::ranges::binary_search(channel.keys, entry->key().id)) add(entry);
  });
}

void LiveHub::ScheduleAt(std::int64_t due_ns, std::shared_ptr<Client> client) {
  if (std::exchange(client->scheduled, true)) return;
  due_[due_ns].push_back(std::move(client));
  ArmTimer(due_.begin()->first);
}

void LiveHub::ArmTimer(std::int64_t due_ns) {
  if (due_ns >= timer_ns_) return;
  timer_ns_ = due_ns;
  const auto wait = std::max<std::int64_t>(0, due_ns - clock_.MonotonicNs());
  loop_.PostAfter(std::chrono::nanoseconds(wait), [weak = weak_from_this()] {
    if (const auto hub = weak.lock()) hub->OnTimer();
  });
}

void LiveHub::OnTimer() {
  timer_ns_ = INT64_MAX;
  const std::int64_t now = clock_.MonotonicNs();
  while (!due_.empty() && due_.begin()->first <= now) {
    const auto ready = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    for (const auto& client : ready) {
      client->scheduled = false;
      TrySend(client);
    }
  }
  if (!due_.empty()) ArmTimer(due_.begin()->first);
}

// Clients that have heard nothing for a while get a ping, so that they and what lies between know that the stream lives.
void LiveHub::OnQuietCheck() {
  const std::int64_t now = clock_.MonotonicNs();
  std::vector<std::shared_ptr<Client>> quiet;
  for (const auto& [raw, client] : clients_) {
    if (!client->in_flight && now - client->last_ns >= kQuietNs) quiet.push_back(client);
  }
  for (const auto& client : quiet) SendNow(*client, {"ping", {}, ping_});
  if (clients_.empty()) {
    quiet_check_running_ = false;
    return;
  }
  loop_.PostAfter(kQuietCheck, [weak = weak_from_this()] {
    if (const auto hub = weak.lock()) hub->OnQuietCheck();
  });
}

void LiveHub::OnSent(const std::shared_ptr<Client>& client) {
  client->in_flight = false;
  TrySend(client);
  if (!client->in_flight && !client->scheduled && !client->closed) client->channel->serve_after_ns = 0;
}

void LiveHub::OnClosed(const std::shared_ptr<Client>& client) {
  if (std::exchange(client->closed, true)) return;
  Channel& channel = *client->channel;
  Pipeline& pipeline = *channel.pipeline;
  channel.clients[client->index] = channel.clients.back();
  channel.clients[client->index]->index = client->index;
  channel.clients.pop_back();
  clients_.erase(client.get());
  --client_count_;
  open_->Add(-1);
  if (!channel.clients.empty()) return;
  // Nobody is left: the channel goes, so that passing filters leave nothing behind.
  for (const std::uint32_t key : channel.keys) std::erase(pipeline.by_key[key], &channel);
  std::erase(pipeline.everything, &channel);
  std::erase(pipeline.dirty, &channel);
  std::erase_if(pipeline.channels, [&](const auto& entry) { return entry.second.get() == &channel; });
}

}  // namespace sightline::serve
