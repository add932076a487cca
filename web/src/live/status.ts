// The server's status, once a second, with a short history kept in the page for the small charts. EventSource hides the reason when
// it fails, so a failure asks for the session and tries again with growing pauses.
import { computed, signal } from '@preact/signals';
import { checkSession, session } from '../base/api';

export type Verdicts = Record<string, number>;
export interface JobStatus {
  engine: string;
  id: string;
  state: string;
  restarts: number;
  checkpoints: number;
  checkpoints_failed: number;
  checkpoint_at: number | null;
  failure: string;
}
export interface PipelineStatus {
  name: string;
  job?: JobStatus;  // of a pipeline that runs on another engine
  state: string;
  error: string | null;
  in: number;
  verdicts: Verdicts;
  unknown_location: number;
  partially_late: number;
  extra_fields: number;
  results: number;
  rate_per_s: number;
  lag_records: number;
  lag_ms: number;
  watermark: number | null;
  open_windows: number;
  state_bytes: number;
  commits: number;
  partitions: { partition: number; offset: number; end: number; rate_per_s: number; watermark: number | null; hot: boolean }[];
}
export interface Status {
  version: string;
  uptime_ms: number;
  now: number;
  datasets: { name: string; topic: string; partitions: { partition: number; start: number; end: number; durable: number; bytes: number }[] }[];
  pipelines: PipelineStatus[];
  sinks: { name: string; offset: number; end: number; error: string | null }[];
  live: { clients: number; messages_per_s: number };
}

export interface Sample {
  at: number;
  rate: number;
  lagMs: number;
  lagRecords: number;
  watermarkBehind: number | null;
  duplicatesPerS: number;
  latePerS: number;
  deadPerS: number;
  stateBytes: number;
  messagesPerS: number;
}

export const VERDICTS = ['counted', 'filtered', 'duplicates', 'late', 'future', 'malformed', 'invalid', 'state_limit'] as const;
export const DEAD = ['late', 'future', 'malformed', 'invalid', 'state_limit'] as const;
const HISTORY = 240;  // samples, one a second
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15_000];

export const status = signal<Status | null>(null);
export const statusLink = signal<'connecting' | 'live' | 'reconnecting'>('connecting');
export const history = signal<Sample[]>([]);
export const clockOffset = signal(0);
export const restarts = signal(0);   // of the server, while this page was open
export const serverNow = () => Date.now() + clockOffset.peek();

// The pipeline that reads the dataset itself: its verdicts are about events.
export const root = computed<PipelineStatus | null>(() => {
  const now = status.value;
  if (!now) return null;
  return now.pipelines.find((p) => p.name === rootName.value) ?? now.pipelines[0] ?? null;
});
export const rootName = signal('item_counts');

export interface Identity {
  in: number;
  sum: number;
  holds: boolean;
}
export function identityOf(pipeline: PipelineStatus): Identity {
  let sum = 0;
  for (const value of Object.values(pipeline.verdicts)) sum += value;
  return { in: pipeline.in, sum, holds: sum === pipeline.in };
}

export function deadLetters(verdicts: Verdicts): number {
  return DEAD.reduce((sum, name) => sum + (verdicts[name] ?? 0), 0);
}

function sampleOf(now: Status, before: Status | null): Sample | null {
  const pipeline = now.pipelines.find((p) => p.name === rootName.peek()) ?? now.pipelines[0];
  if (!pipeline) return null;
  const earlier = before?.pipelines.find((p) => p.name === pipeline.name);
  const seconds = before ? Math.max(0.001, (now.now - before.now) / 1000) : 0;
  const perSecond = (of: (v: Verdicts) => number) => (earlier && seconds > 0 ? Math.max(0, (of(pipeline.verdicts) - of(earlier.verdicts)) / seconds) : 0);
  return {
    at: now.now, rate: pipeline.rate_per_s, lagMs: pipeline.lag_ms, lagRecords: pipeline.lag_records,
    watermarkBehind: pipeline.watermark === null ? null : now.now - pipeline.watermark,
    duplicatesPerS: perSecond((v) => v.duplicates ?? 0), latePerS: perSecond((v) => v.late ?? 0), deadPerS: perSecond(deadLetters),
    stateBytes: pipeline.state_bytes, messagesPerS: now.live.messages_per_s,
  };
}

function take(next: Status): void {
  const before = status.peek();
  // A board may hang on a wall for months: after an upgrade it takes the new page.
  if (before && before.version !== next.version) location.reload();
  if (before && next.uptime_ms < before.uptime_ms) restarts.value += 1;
  clockOffset.value = next.now - Date.now();
  const sample = sampleOf(next, before);
  status.value = next;
  if (sample) history.value = [...history.peek(), sample].slice(-HISTORY);
}

let source: EventSource | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;

function connect(): void {
  clearTimeout(timer);
  source?.close();
  source = new EventSource('/v1/status/stream');
  const receive = (event: MessageEvent) => {
    failures = 0;
    statusLink.value = 'live';
    take(JSON.parse(String(event.data)) as Status);
  };
  source.onmessage = receive;
  source.addEventListener('status', receive);
  source.onerror = () => {
    source?.close();
    statusLink.value = 'reconnecting';
    const pause = PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)]! * (0.75 + 0.5 * Math.random());
    failures += 1;
    checkSession().catch(() => undefined).finally(() => {
      if (session.peek().state !== 'signed_out') timer = setTimeout(connect, pause);
    });
  };
}

export function startStatus(): void {
  failures = 0;
  connect();
}

export function stopStatus(): void {
  clearTimeout(timer);
  source?.close();
  source = null;
}
