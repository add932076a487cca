// The page's side of the live worker: signals for what changes slowly, and a plain object for the arrays the map reads each time it
// draws. One worker for the life of the page; it rests while no view needs it and resumes from where it was.
import { signal } from '@preact/signals';
import { checkSession } from '../base/api';
import type { Model } from '../base/model';
import { claimColours } from '../map/palette';
import { clockOffset } from './status';
import type { Focus, Frame, FromWorker, TickerEvent, ToWorker } from './frame';
import type { WindowItems } from './protocol';
import type { StreamState } from './stream';

export interface LiveLists {
  open: number | null;
  final: number | null;
  active: number;
  busiest: string[];
  location: string | null;
  lists: WindowItems[];
  overall: WindowItems[];
}

const EMPTY_LISTS: LiveLists = { open: null, final: null, active: 0, busiest: [], location: null, lists: [], overall: [] };
const TICKER_KEPT = 40;

export const boardState = signal<StreamState>({ state: 'stopped' });
export const overallState = signal<StreamState>({ state: 'stopped' });
export const liveLists = signal<LiveLists>(EMPTY_LISTS);
export const ticker = signal<TickerEvent[]>([]);
export const liveIds = signal<string[]>([]);
export const leaderItems = signal<string[]>([]);

// The newest arrays; `onHeat` is called after each frame.
export const heat = { values: new Float32Array(0), leader: new Int16Array(0), scale: 1 };
const listeners = new Set<() => void>();
export function onHeat(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let worker: Worker | null = null;
let workerFor: Model | null = null;

function send(message: ToWorker): void {
  worker?.postMessage(message);
}

function takeFrame(frame: Frame): void {
  claimColours(frame.overall.at(-1)?.items ?? []);
  if (frame.ids) liveIds.value = frame.ids;
  if (frame.items) leaderItems.value = frame.items;
  heat.values = frame.heat;
  heat.leader = frame.leader;
  heat.scale = frame.scale;
  const { open, final, active, busiest, location, lists, overall } = frame;
  liveLists.value = { open, final, active, busiest, location, lists, overall };
  if (frame.ticker.length > 0) ticker.value = [...[...frame.ticker].reverse(), ...ticker.value].slice(0, TICKER_KEPT);
  for (const listener of listeners) listener();
}

export function startLive(model: Model, focus: Omit<Focus, 'clockOffset'>, rate: number): void {
  const full = { ...focus, clockOffset: clockOffset.peek() };
  if (worker && workerFor === model) {
    send({ type: 'focus', focus: full });
    send({ type: 'resume' });
    return;
  }
  // Another model has other locations in another order: the arrays start anew.
  worker?.terminate();
  heat.values = new Float32Array(0);
  heat.leader = new Int16Array(0);
  liveLists.value = EMPTY_LISTS;
  leaderItems.value = [];
  workerFor = model;
  worker = new Worker(new URL('./live.worker.ts', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.type === 'frame') return takeFrame(data);
    (data.feed === 'board' ? boardState : overallState).value = data.state;
    // It may have been asked before a sign-in that has succeeded since: ask anew.
    if (data.state.state === 'signed_out') checkSession().catch(() => undefined);
  };
  const { board, overall, key, item, count, everyMs, windowMs } = model.roles;
  const ids = model.places.map((place) => place.id);
  liveIds.value = ids;
  send({ type: 'start', ids, focus: full, settings: { board, overall, key, item, count, everyMs, sizeMs: windowMs, rate } });
}

export function setFocus(focus: Omit<Focus, 'clockOffset'>): void {
  send({ type: 'focus', focus: { ...focus, clockOffset: clockOffset.peek() } });
}

export function pauseLive(): void {
  send({ type: 'pause' });
}

export function retryLive(): void {
  send({ type: 'retry' });
}

addEventListener('online', retryLive);
