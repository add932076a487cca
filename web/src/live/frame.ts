// What the live worker tells the page: numbers per location as arrays in the order of `ids`, and the few lists that are on screen.
import type { StreamState } from './stream';
import type { WindowItems } from './protocol';

export type HeatMode = 'now' | 'open' | 'final';

export interface Settings {
  board: string | null;
  overall: string | null;
  key: string;
  item: string;
  count: string;
  everyMs: number;
  sizeMs: number;
  rate: number;
}

export interface Focus {
  mode: HeatMode;
  item: string | null;       // count this item alone
  location: string | null;   // the location whose lists are wanted; null: the busiest
  clockOffset: number;       // server time less this machine's, ms
}

export type ToWorker =
  | { type: 'start'; settings: Settings; ids: string[]; focus: Focus }
  | { type: 'focus'; focus: Focus }
  | { type: 'retry' }
  | { type: 'pause' }
  | { type: 'resume' };

export interface TickerEvent {
  id: number;
  at: number;
  kind: 'leader' | 'corrected' | 'final';
  location: string | null;
  item: string | null;
  before: string | null;
  count: number;
  windowStart: number;
}

export interface Frame {
  type: 'frame';
  ids: string[] | null;        // all ids, when there are new ones
  items: string[] | null;      // all item names that were first somewhere, when there are new ones
  heat: Float32Array<ArrayBuffer>;          // per id, in the wanted mode
  leader: Int16Array<ArrayBuffer>;          // per id, index into items, -1 without
  scale: number;               // the heat that counts as full
  open: number | null;         // start of the newest open window
  final: number | null;        // start of the newest final window
  active: number;              // ids with a count in the newest window
  busiest: string[];           // ids, busiest first
  location: string | null;     // whose lists follow
  lists: WindowItems[];
  overall: WindowItems[];
  ticker: TickerEvent[];       // new ones since the frame before
  messages: number;            // received since the frame before
}

export type FromWorker = Frame | { type: 'state'; feed: 'board' | 'overall'; state: StreamState };
