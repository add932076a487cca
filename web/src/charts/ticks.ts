// Where an axis is marked.

// Round steps for an axis from 0 to at least `high`.
export function ticksTo(high: number, about: number): number[] {
  const raw = Math.max(1, high) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? raw);
  const ticks: number[] = [];
  for (let at = 0; at < high + step; at += step) ticks.push(at);
  return ticks;
}

const TIME_STEPS = [60e3, 2 * 60e3, 5 * 60e3, 10 * 60e3, 15 * 60e3, 30 * 60e3, 3600e3, 2 * 3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, 86400e3];

export function timeTicks(from: number, to: number, about: number): number[] {
  const step = TIME_STEPS.find((s) => (to - from) / s <= about) ?? Math.ceil((to - from) / about / 86400e3) * 86400e3;
  const zone = new Date(from).getTimezoneOffset() * 60e3;
  const ticks: number[] = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at < to; at += step) ticks.push(at);
  return ticks;
}
