// The data behind the mock server: a fleet of cameras whose sightings are drawn at random, counted per location and window, and
// ranked as the program ranks them (count descending, then the item's name in byte order).
import { readFileSync } from 'node:fs';

const ITEMS = [
  ['person', 100], ['car', 62], ['motorcycle', 31], ['bus', 19], ['truck', 17], ['bicycle', 15], ['umbrella', 9], ['backpack', 8],
  ['dog', 5], ['taxi', 12], ['van', 11], ['stroller', 4], ['suitcase', 4], ['scooter', 3], ['bird', 2], ['traffic cone', 2],
];
const STRANGE = [[`<img src=x onerror="globalThis.struck=1"> ${'very long '.repeat(480)}`, 400], ['مظلة', 60], ['自転車', 50], ['', 20], ['__proto__', 30]];
const OUT_OF_ORDER_MS = 30000;
const PARTITIONS = 8;

function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const byteOrder = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const ranked = (counts, top) =>
  [...counts].sort((a, b) => b[1] - a[1] || byteOrder(a[0], b[0])).slice(0, top)
    .map(([item_name, item_count], index) => ({ item_name, item_count, rank: index + 1 }));

export class Simulation {
  constructor(options) {
    Object.assign(this, options);
    this.draw = random(options.seed);
    this.items = options.strangeNames ? [...STRANGE, ...ITEMS] : ITEMS;
    this.clock = 1;               // grows with every step; the resume token
    this.started = Date.now();
    this.failed = null;
    this.version = 1;             // of the reference
    this.at = Date.now();
    this.windows = new Map();     // window_start -> { groups: Map(oid -> {counts, clock}), state, clock }
    this.totals = { in: 0, counted: 0, filtered: 0, duplicates: 0, late: 0, future: 0, malformed: 0, invalid: 0, state_limit: 0 };
    this.unknown = 0;
    this.commits = 0;
    this.results_ = 0;
    this.rows = this.readLocations();
    this.names = new Map(this.rows.map((row) => [row.geographical_location_oid, row.geographical_location]));
    this.profiles = this.rows.map((row) => this.profile(row));
    this.cumulative = [];
    let sum = 0;
    for (const p of this.profiles) this.cumulative.push((sum += p.weight));
    if (!this.empty) this.backfill();
  }

  readLocations() {
    const [head, ...lines] = readFileSync(this.locationsFile, 'utf8').trim().split(/\r?\n/);
    const names = head.split(',');
    return lines.slice(0, this.locations).map((line) => {
      const row = Object.fromEntries(line.split(',').map((value, i) => [names[i], value]));
      row.latitude = Number(row.latitude);
      row.longitude = Number(row.longitude);
      if (!this.coordinates) { delete row.latitude; delete row.longitude; }
      return row;
    });
  }

  // Busier near the centre and in some areas; each location has its own taste in items.
  profile(row) {
    const area = row.planning_area ?? '';
    const areaDraw = random([...area].reduce((h, c) => (h * 31 + c.charCodeAt(0)) | 0, 7))();
    const centre = row.latitude ? Math.exp(-((row.latitude - 1.3) ** 2 + (row.longitude - 103.84) ** 2) / 0.004) : 0.5;
    const weight = 0.12 + 0.55 * areaDraw ** 2 + 1.5 * centre + 0.5 * this.draw() ** 3;
    const tastes = this.items.map(([, base]) => base * (0.35 + 1.6 * this.draw() ** 2));
    const sums = [];
    tastes.reduce((total, t, i) => (sums[i] = total + t), 0);
    return { weight, sums };
  }

  pick(sums) {
    const at = this.draw() * sums[sums.length - 1];
    let low = 0;
    let high = sums.length - 1;
    while (low < high) { const mid = (low + high) >> 1; if (sums[mid] > at) high = mid; else low = mid + 1; }
    return low;
  }

  windowOf(time) {
    const start = Math.floor(time / this.windowMs) * this.windowMs;
    let window = this.windows.get(start);
    if (!window) this.windows.set(start, (window = { start, end: start + this.windowMs, groups: new Map(), overall: new Map(), state: 'open', clock: this.clock }));
    return window;
  }

  count(time, n) {
    const window = this.windowOf(time);
    if (window.state !== 'open') return;
    for (let i = 0; i < n; ++i) {
      const location = this.pick(this.cumulative);
      const item = this.items[this.pick(this.profiles[location].sums)][0];
      const oid = this.rows[location].geographical_location_oid;
      let group = window.groups.get(oid);
      if (!group) window.groups.set(oid, (group = { counts: new Map(), clock: 0 }));
      group.counts.set(item, (group.counts.get(item) ?? 0) + 1);
      group.clock = this.clock;
      window.overall.set(item, (window.overall.get(item) ?? 0) + 1);
    }
    window.clock = this.clock;
  }

  // Ninety windows of the past, thinner than the live ones so that starting is quick, and the open window up to now.
  backfill() {
    const now = this.at;
    const first = Math.floor((now - 90 * this.windowMs) / this.windowMs) * this.windowMs;
    const perWindow = (this.eventsPerSecond * this.windowMs) / 1000;
    for (let start = first; start + this.windowMs + OUT_OF_ORDER_MS <= now; start += this.windowMs) {
      const wave = 0.85 + 0.15 * Math.sin(start / this.windowMs / 7);
      const close = start + 3 * this.windowMs + OUT_OF_ORDER_MS > now;
      this.count(start, Math.round(perWindow * wave * (close ? 1 : 0.12)));
      const window = this.windows.get(start);
      if (!close) for (const map of [window.overall, ...[...window.groups.values()].map((g) => g.counts)]) for (const [k, v] of map) map.set(k, v * 8 + (v % 8));
      window.state = 'final';
    }
    for (const [start] of [[Math.floor(now / this.windowMs) * this.windowMs - this.windowMs], [Math.floor(now / this.windowMs) * this.windowMs]]) {
      const share = Math.min(1, (now - start) / this.windowMs);
      this.count(start, Math.round(perWindow * share));
    }
    this.totals.counted = 1_284_031;
    this.totals.duplicates = 121_840;
    this.totals.late = 1_207;
    this.totals.malformed = 613;
    this.totals.invalid = 402;
    this.totals.in = this.totals.counted + this.totals.duplicates + this.totals.late + this.totals.malformed + this.totals.invalid;
  }

  step(now) {
    const n = Math.round((this.eventsPerSecond * (now - this.at)) / 1000 * (0.92 + 0.16 * this.draw()));
    this.at = now;
    this.clock += 1;
    if (n > 0) {
      const behind = Math.round(n * 0.06);
      this.count(now - 12000, behind);
      this.count(now, n - behind);
      const bad = { duplicates: Math.round(n * 0.095), late: this.draw() < 0.5 ? 3 : 0, malformed: this.draw() < 0.3 ? 1 : 0, invalid: this.draw() < 0.2 ? 1 : 0 };
      this.totals.counted += n;
      this.totals.in += n;
      for (const [verdict, amount] of Object.entries(bad)) { this.totals[verdict] += amount; this.totals.in += amount; }
      this.commits += 1;
    }
    this.rate = n / 0.2;
    for (const window of this.windows.values()) {
      if (window.state === 'open' && window.end + OUT_OF_ORDER_MS <= now) {
        window.state = 'final';
        window.clock = this.clock;
        for (const group of window.groups.values()) { group.clock = this.clock; this.results_ += 1; }
      }
    }
    const keep = now - 100 * this.windowMs;
    for (const start of this.windows.keys()) if (start < keep) this.windows.delete(start);
  }

  group(window, key, counts) {
    const name = key.geographical_location_oid === undefined ? {} : { geographical_location: this.names.get(key.geographical_location_oid) ?? null };
    return {
      window_start: window.start, window_end: window.end, state: window.state, revision: 0, key,
      rows: ranked(counts, 10).map((row) => ({ ...name, ...row })),
    };
  }

  // The groups of the live board that changed after `since`: open windows and the newest final one.
  live(pipeline, since, filter) {
    const windows = [...this.windows.values()].sort((a, b) => a.start - b.start);
    const newestFinal = windows.filter((w) => w.state === 'final').at(-1);
    const groups = [];
    for (const window of windows) {
      if (window.state === 'final' && window !== newestFinal) continue;
      if (window.clock <= since) continue;
      if (pipeline === 'top_items_overall') groups.push(this.group(window, {}, window.overall));
      else
        for (const [oid, group] of window.groups)
          if (group.clock > since && (filter.length === 0 || filter.includes(oid)))
            groups.push(this.group(window, { geographical_location_oid: oid }, group.counts));
    }
    return groups;
  }

  columnsOf(pipeline) {
    return this.pipelines().find((p) => p.name === pipeline)?.columns.map((c) => c.name) ?? [];
  }

  pipelines() {
    const location = [{ name: 'geographical_location_oid', type: 'int64', identifier: true }, { name: 'geographical_location', type: 'string', identifier: false }];
    const item = [{ name: 'item_name', type: 'string', identifier: false }, { name: 'item_count', type: 'int64', identifier: false }];
    const rank = [{ name: 'rank', type: 'int64', identifier: false }];
    const window = { size_ms: this.windowMs, every_ms: this.windowMs };
    const common = { window, live: true, statistics: true };
    return [
      { name: 'item_counts', from: 'camera_events', columns: [...location, ...item], group: ['geographical_location_oid'], ranked: false, ...common },
      { name: 'top_items', from: 'item_counts', columns: [...location, ...item, ...rank], group: ['geographical_location_oid'], ranked: true, ...common },
      { name: 'top_items_overall', from: 'item_counts', columns: [...item, ...rank], group: [], ranked: true, ...common },
    ];
  }

  results(pipeline, query) {
    if (!this.columnsOf(pipeline).length) return null;
    const from = Number(query.get('from') ?? 0);
    const to = Number(query.get('to') ?? Number.MAX_SAFE_INTEGER);
    const limit = Number(query.get('limit') ?? 1000);
    const skip = Number(query.get('cursor') ?? 0);
    const locations = query.getAll('geographical_location_oid');
    const items = query.getAll('item_name');
    let windows = [...this.windows.values()].filter((w) => w.start >= from && w.start < to && (w.state !== 'open' || query.get('open') === 'true'));
    windows.sort((a, b) => (query.get('order') === 'desc' ? b.start - a.start : a.start - b.start));
    const rows = [];
    let position = 0;
    for (const window of windows) {
      const top = pipeline === 'item_counts' ? 1000 : 10;
      const groups = pipeline === 'top_items_overall' ? [[null, window.overall]]
        : (locations.length ? locations : this.rows.map((r) => r.geographical_location_oid)).map((oid) => [oid, window.groups.get(oid)?.counts]);
      for (const [oid, counts] of groups) {
        if (!counts) continue;
        for (const row of ranked(counts, top)) {
          if (items.length && !items.includes(row.item_name)) continue;
          if (position++ < skip) continue;
          if (rows.length === limit) return { rows, next_cursor: String(skip + limit) };
          const base = { window_start: window.start, window_end: window.end, state: window.state, revision: 0 };
          if (oid !== null) Object.assign(base, { geographical_location_oid: oid, geographical_location: this.names.get(oid) ?? null });
          Object.assign(base, row);
          if (pipeline === 'item_counts') delete base.rank;
          rows.push(base);
        }
      }
    }
    return { rows, next_cursor: null };
  }

  topItems(query) {
    const from = Number(query.get('from') ?? 0);
    const to = Number(query.get('to') ?? Number.MAX_SAFE_INTEGER);
    const location = query.get('location');
    const sums = new Map();
    for (const window of this.windows.values()) {
      if (window.start < from || window.start >= to || window.state === 'open') continue;
      const counts = location === null ? window.overall : window.groups.get(location)?.counts;
      for (const [item, n] of counts ?? []) sums.set(item, (sums.get(item) ?? 0) + n);
    }
    return { location, location_name: location === null ? null : this.names.get(location) ?? null, from, to, items: ranked(sums, Number(query.get('top') ?? 10)) };
  }

  restart() {
    this.started = Date.now();
    this.version += 1;
    this.rows = this.rows.map((row) => ({ ...row, geographical_location: row.geographical_location.replace('Post', 'Gate') }));
    this.names = new Map(this.rows.map((row) => [row.geographical_location_oid, row.geographical_location]));
  }

  references() {
    return [{ name: 'locations', rows: this.rows.length, version: this.version, loaded_at: this.started }];
  }

  reference() {
    return { name: 'locations', version: this.version, rows: this.rows };
  }

  deadLetters(query) {
    const reason = query.get('reason') ?? 'invalid';
    const n = Math.min(Number(query.get('limit') ?? 100), this.totals[reason] ?? 0);
    const original = '{"detection_oid":8811,"geographical_location_oid":12,"video_camera_oid":120,"item_name":"person","timestamp_detected":"yesterday"}';
    const one = (i) => ({
      topic: 'dead_letters.item_counts', partition: i % PARTITIONS, offset: i, reason, field: 'timestamp_detected', cause: 'timestamp_detected must be an integer, not a string',
      origin: { kind: 'topic', topic: 'camera_events', partition: i % PARTITIONS, offset: 5000 + i }, received: this.started + i * 900, encoding: 'json',
      original_size: original.length, shortened: false, original,
    });
    // Newest first, as the server has them.
    return { dead_letters: Array.from({ length: n }, (_, i) => one(n - 1 - i)), next_cursor: null };
  }

  status(clients) {
    const now = Date.now();
    const share = (i) => Math.round((this.totals.in / PARTITIONS) * (0.9 + 0.025 * i));
    const open = [...this.windows.values()].filter((w) => w.state === 'open').length;
    const lag = this.eventsPerSecond ? Math.round(20 + 60 * this.draw()) : 0;
    const watermark = this.empty ? null : now - OUT_OF_ORDER_MS;
    const one = (name, verdicts, rate) => ({
      name, state: this.failed && name === 'top_items' ? 'failed' : 'running', error: this.failed && name === 'top_items' ? this.failed : null,
      in: verdicts.in, verdicts: Object.fromEntries(Object.entries(verdicts).filter(([k]) => k !== 'in')), unknown_location: 0, partially_late: 0, extra_fields: 0,
      results: this.results_, rate_per_s: rate, lag_records: lag, lag_ms: lag ? Math.round(4 + 9 * this.draw()) : 0, watermark, open_windows: open,
      state_bytes: 186_000_000 + (this.totals.counted % 9_000_000), commits: this.commits,
      partitions: Array.from({ length: PARTITIONS }, (_, i) => ({ partition: i, offset: share(i) - (i === 3 ? lag : 0), end: share(i), watermark: watermark && watermark - 40 * i })),
    });
    const rows = { ...this.totals, in: this.results_ * 8, counted: this.results_ * 8, duplicates: 0, late: 0, malformed: 0, invalid: 0 };
    return {
      version: '0.1.0', uptime_ms: now - this.started, now,
      datasets: [{ name: 'camera_events', topic: 'camera_events', partitions: Array.from({ length: PARTITIONS }, (_, i) => ({ partition: i, start: 0, end: share(i), durable: share(i), bytes: share(i) * 61 })) }],
      pipelines: [one('item_counts', this.totals, this.rate ?? 0), one('top_items', rows, (this.rate ?? 0) / 40), one('top_items_overall', rows, (this.rate ?? 0) / 40)],
      sinks: [
        { name: 'statistics/item_counts', offset: this.results_, end: this.results_, error: null },
        { name: 'statistics/top_items', offset: this.results_, end: this.results_, error: null },
        { name: 'statistics/top_items_overall', offset: this.results_, end: this.results_, error: null },
      ],
      live: { clients, messages_per_s: clients * 5 },
    };
  }

  sql(text) {
    if (!/^\s*(select|with|show|describe|explain|summarize|from)\b/i.test(text)) return { error: 'Parser Error: only reading statements are allowed here: start with SELECT, WITH, SHOW or DESCRIBE' };
    if (/show\s+tables/i.test(text)) return { columns: [{ name: 'name', type: 'VARCHAR' }], rows: [['item_counts'], ['top_items'], ['top_items_overall']], truncated: false };
    const { rows } = this.results('top_items_overall', new URLSearchParams('limit=200&order=desc'));
    return {
      columns: [{ name: 'window_start', type: 'BIGINT' }, { name: 'item_name', type: 'VARCHAR' }, { name: 'item_count', type: 'BIGINT' }, { name: 'rank', type: 'BIGINT' }],
      rows: rows.map((r) => [r.window_start, r.item_name, r.item_count, r.rank]), truncated: false,
    };
  }
}
