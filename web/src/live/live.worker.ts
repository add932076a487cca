// Receives and sums up the live views away from the page's thread: a thousand locations may change five times a second, and the page
// must stay smooth. Sends a frame at most every FRAME_MS, when something changed.
import { Board, type Change } from './board';
import type { Focus, Frame, FromWorker, Settings, TickerEvent, ToWorker } from './frame';
import { busiestOf, heatOf, scaleOf } from './heat';
import { browserSurroundings, LiveStream } from './stream';
import type { LiveMessage } from './protocol';

const FRAME_MS = 100;
const TELL_EVERY_MS = 1100;      // a reader cannot follow more

class Feed {
  readonly board: Board;
  readonly stream: LiveStream;
  constructor(name: 'board' | 'overall', pipeline: string, settings: Settings) {
    this.board = new Board({ key: name === 'board' ? settings.key : null, item: settings.item, count: settings.count });
    this.stream = new LiveStream(`/v1/pipelines/${encodeURIComponent(pipeline)}/live?rate=${settings.rate}`, browserSurroundings(), {
      message: (message) => receive(name, this.board, message),
      state: (state) => post({ type: 'state', feed: name, state }),
    });
  }
}

let settings: Settings;
let focus: Focus = { mode: 'now', item: null, location: null, clockOffset: 0 };
const feeds: { board?: Feed; overall?: Feed } = {};
const ids: string[] = [];
const known = new Set<string>();
const items: string[] = [];
const itemIndex = new Map<string, number>();
let idsSent = 0;
let itemsSent = 0;
let messages = 0;
let frameDue = false;
let pending: Change[] = [];
let toldAt = 0;
let lastTold: string | null = null;
let lastFinal = Number.NEGATIVE_INFINITY;
let told = 0;
let lastBusiest: string | null = null;

function post(message: FromWorker, transfer: Transferable[] = []): void {
  (self as unknown as DedicatedWorkerGlobalScope).postMessage(message, transfer);
}

function receive(name: 'board' | 'overall', board: Board, message: Exclude<LiveMessage, { type: 'ping' }>): void {
  messages += 1;
  if (message.type === 'snapshot') board.reset();
  const changes = board.apply(message.groups);
  if (name === 'board') {
    for (const group of message.groups) {
      const id = board.idOf(group);
      if (!known.has(id)) {
        known.add(id);
        ids.push(id);
      }
    }
    if (message.type === 'change') pending.push(...changes);
  }
  schedule();
}

function schedule(): void {
  if (frameDue) return;
  frameDue = true;
  setTimeout(() => {
    frameDue = false;
    sendFrame();
  }, FRAME_MS);
}

// Of many changes the weightiest is told, at most one a second; the closing of a window always is.
function tell(board: Board, now: number): TickerEvent[] {
  const events: TickerEvent[] = [];
  if (board.newestFinal > lastFinal && Number.isFinite(board.newestFinal)) {
    const first = lastFinal === Number.NEGATIVE_INFINITY;
    lastFinal = board.newestFinal;
    let count = 0;
    for (const id of ids) if (board.at(id, lastFinal)) count += 1;
    if (!first) events.push({ id: ++told, at: now, kind: 'final', location: null, item: null, before: null, count, windowStart: lastFinal });
  }
  const corrected = pending.filter((c) => c.kind === 'corrected').slice(0, 3);
  for (const c of corrected) events.push({ id: ++told, at: now, kind: 'corrected', location: c.id, item: c.item, before: null, count: c.count, windowStart: c.windowStart });
  if (now - toldAt >= TELL_EVERY_MS) {
    const leaders = pending.filter((c) => c.kind === 'leader' && c.id !== lastTold && c.count >= 3).sort((a, b) => b.count - a.count);
    const best = leaders[0];
    if (best) {
      events.push({ id: ++told, at: now, kind: 'leader', location: best.id, item: best.item, before: best.before, count: best.count, windowStart: best.windowStart });
      toldAt = now;
      lastTold = best.id;
    }
    pending = [];
  } else {
    pending = pending.filter((c) => c.kind === 'leader').slice(-500);
  }
  return events;
}

function leaders(board: Board, newest: number): Int16Array<ArrayBuffer> {
  const leader = new Int16Array(ids.length).fill(-1);
  const start = focus.mode === 'final' ? board.newestFinal : newest;
  ids.forEach((id, i) => {
    const first = (board.at(id, start) ?? (focus.mode === 'now' ? board.at(id, start - settings.sizeMs) : null))?.items[0];
    if (!first) return;
    let index = itemIndex.get(first.name);
    if (index === undefined) {
      itemIndex.set(first.name, (index = items.length));
      items.push(first.name);
    }
    leader[i] = index;
  });
  return leader;
}

function sendFrame(): void {
  const board = feeds.board?.board;
  const now = Date.now() + focus.clockOffset;
  const heat = new Float32Array(ids.length);
  const newest = board?.newestAt(now) ?? Number.NEGATIVE_INFINITY;
  let active = 0;
  let scale = 1;
  let leader = new Int16Array(ids.length).fill(-1);
  let busiest: string[] = [];
  let ticker: TickerEvent[] = [];
  if (board) {
    const request = { mode: focus.mode, item: focus.item, now, newest, sizeMs: settings.sizeMs, everyMs: settings.everyMs };
    ids.forEach((id, i) => {
      heat[i] = heatOf(board, id, request);
      if (heat[i]! > 0) active += 1;
    });
    scale = scaleOf(board, ids, heat, focus.item);
    leader = leaders(board, newest);
    busiest = busiestOf(ids, heat);
    ticker = tell(board, now);
  }
  // The busiest changes hands often; stay with it while it is among the first few, so that the list can be read.
  if (lastBusiest === null || !busiest.slice(0, 5).includes(lastBusiest)) lastBusiest = busiest[0] ?? null;
  const location = focus.location ?? lastBusiest;
  const finite = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : null);
  const frame: Frame = {
    type: 'frame',
    ids: ids.length !== idsSent ? [...ids] : null,
    items: items.length !== itemsSent ? [...items] : null,
    heat, leader, scale, active, busiest, location, ticker, messages,
    open: Number.isFinite(newest) && newest > (board?.newestFinal ?? Number.NEGATIVE_INFINITY) ? newest : null,
    final: finite(board?.newestFinal),
    lists: location === null || !board ? [] : board.of(location),
    overall: feeds.overall?.board.of('') ?? [],
  };
  idsSent = ids.length;
  itemsSent = items.length;
  messages = 0;
  post(frame, [heat.buffer, leader.buffer]);
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case 'start':
      settings = data.settings;
      focus = data.focus;
      for (const id of data.ids) {
        known.add(id);
        ids.push(id);
      }
      if (settings.board) feeds.board = new Feed('board', settings.board, settings);
      if (settings.overall) feeds.overall = new Feed('overall', settings.overall, settings);
      feeds.board?.stream.start();
      feeds.overall?.stream.start();
      break;
    case 'focus':
      focus = data.focus;
      schedule();
      break;
    case 'retry':
      feeds.board?.stream.retryNow();
      feeds.overall?.stream.retryNow();
      break;
    case 'pause':
      feeds.board?.stream.stop();
      feeds.overall?.stream.stop();
      break;
    case 'resume':
      feeds.board?.stream.start();
      feeds.overall?.stream.start();
      break;
  }
};
