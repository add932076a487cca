// How much goes on at each location. `now` is a rolling estimate over one window's length: the open window, and of the one before
// it the share that still lies within that length; so the map does not go dark each time a window begins. `open` and `final` are
// the exact counts of one window.
import { Board, total } from './board';
import type { HeatMode } from './frame';

const BUSIEST = 8;

export interface HeatRequest {
  mode: HeatMode;
  item: string | null;
  now: number;     // server time, ms
  newest: number;  // board.newestAt(now)
  sizeMs: number;
  everyMs: number;
}

export function heatOf(board: Board, id: string, request: HeatRequest): number {
  const { mode, item, now, sizeMs, everyMs } = request;
  if (mode === 'final') return total(board.at(id, board.newestFinal), item);
  const { newest } = request;
  const open = total(board.at(id, newest), item);
  if (mode === 'open' || everyMs !== sizeMs) return open;
  const progress = Math.min(1, Math.max(0, (now - newest) / sizeMs));
  return open + total(board.at(id, newest - sizeMs), item) * (1 - progress);
}

// The value that is drawn as full: the 98th percentile of the newest final window where there is one, so that the colours keep their
// meaning while a window fills; else of the heat itself.
export function scaleOf(board: Board, ids: string[], heat: Float32Array, item: string | null): number {
  const values: number[] = [];
  for (const id of ids) {
    const count = total(board.at(id, board.newestFinal), item);
    if (count > 0) values.push(count);
  }
  if (values.length < 3) for (const value of heat) if (value > 0) values.push(value);
  if (values.length === 0) return 1;
  values.sort((a, b) => a - b);
  return Math.max(1, values[Math.floor((values.length - 1) * 0.98)]!);
}

export function busiestOf(ids: string[], heat: Float32Array): string[] {
  const order = Array.from(heat.keys()).filter((i) => heat[i]! > 0);
  order.sort((a, b) => heat[b]! - heat[a]! || a - b);
  return order.slice(0, BUSIEST).map((i) => ids[i]!);
}
