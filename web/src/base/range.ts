// A range of time in the address: `range=1h` (up to now) or `from` and `to` in epoch milliseconds. Without any: the last hour.
export const RANGES = { '15m': 900_000, '1h': 3_600_000, '6h': 21_600_000, '24h': 86_400_000 } as const;
export type RangeName = keyof typeof RANGES;

export interface Range {
  name: RangeName | null;  // null: from and to were chosen
  from: number;
  to: number;
}

export function rangeOf(params: Record<string, string>, now: number, stepMs = 60_000): Range {
  const from = Number(params.from);
  const to = Number(params.to);
  if (params.from && params.to && Number.isFinite(from) && Number.isFinite(to) && from < to) return { name: null, from, to };
  const name = params.range !== undefined && Object.hasOwn(RANGES, params.range) ? (params.range as RangeName) : '1h';
  // The end is after the open window, so that it is in the range.
  const end = Math.floor(now / stepMs) * stepMs + stepMs;
  return { name, from: end - RANGES[name], to: end };
}

// For <input type="datetime-local">, which speaks the reader's zone.
export function toLocalInput(ms: number): string {
  const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return at.toISOString().slice(0, 16);
}

export function fromLocalInput(text: string): number | null {
  const ms = new Date(text).getTime();
  return Number.isFinite(ms) ? ms : null;
}
