// How numbers, sizes and times are written. Times are in the reader's zone; their UTC form goes into a title.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const NONE = '–';

export function formatCount(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value) ? NONE : whole.format(value);
}

export function formatCompact(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value);
}

export function formatRate(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return value !== 0 && Math.abs(value) < 10 ? oneDigit.format(value) : formatCompact(value);
}

export function formatBytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? whole.format(value) : oneDigit.format(value)} ${units[unit]}`;
}

// A span of milliseconds, in its two greatest units.
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NONE;
  const sign = ms < 0 ? '−' : '';
  const rest = Math.abs(ms);
  if (rest < 1000) return `${sign}${whole.format(rest)} ms`;
  if (rest < 10_000) return `${sign}${oneDigit.format(rest / 1000)} s`;
  const seconds = Math.round(rest / 1000);
  if (seconds < 60) return `${sign}${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${sign}${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${sign}${hours} h ${minutes % 60} min`;
  return `${sign}${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const pad = (value: number, digits = 2) => String(value).padStart(digits, '0');

export function formatTime(ms: number | null | undefined, part: 'minutes' | 'seconds' = 'seconds'): string {
  if (ms === null || ms === undefined) return NONE;
  const at = new Date(ms);
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
  return part === 'minutes' ? text : `${text}:${pad(at.getSeconds())}`;
}

export function formatDate(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

// The time alone on the same day as `now`, else the date and the time.
export function formatMoment(ms: number | null | undefined, now: number, part: 'minutes' | 'seconds' = 'minutes'): string {
  if (ms === null || ms === undefined) return NONE;
  return formatDate(ms) === formatDate(now) ? formatTime(ms, part) : `${formatDate(ms)} ${formatTime(ms, part)}`;
}

export function utcTitle(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '' : new Date(ms).toISOString().replace('T', ' ').replace('.000Z', 'Z').replace('Z', ' UTC');
}

export function zoneName(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

// "1 location", "2 locations".
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
