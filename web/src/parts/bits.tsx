// Small parts that several views share.
import type { ComponentChildren } from 'preact';
import { formatMoment, formatTime, utcTitle } from '../base/format';
import { ApiError } from '../base/api';
import { serverNow } from '../live/status';
import { Icon } from './icons';

export function Panel({ title, aside, children, class: extra = '', id }: { title: ComponentChildren; aside?: ComponentChildren; children: ComponentChildren; class?: string; id?: string }) {
  return (
    <section class={`panel ${extra}`} id={id}>
      <header class="panel-head">
        <h2>{title}</h2>
        {aside && <div class="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export interface Choice<T extends string> {
  value: T;
  label: string;
  title?: string;
}

export function Segmented<T extends string>({ label, value, choices, onChange }: { label: string; value: T; choices: Choice<T>[]; onChange: (value: T) => void }) {
  return (
    <div class="segmented" role="group" aria-label={label}>
      {choices.map((choice) => (
        <button key={choice.value} type="button" aria-pressed={choice.value === value} title={choice.title} onClick={() => onChange(choice.value)}>{choice.label}</button>
      ))}
    </div>
  );
}

// A time of the data, in the reader's zone, with UTC on hover.
export function When({ ms, part = 'minutes', alone = false }: { ms: number | null | undefined; part?: 'minutes' | 'seconds'; alone?: boolean }) {
  if (ms === null || ms === undefined) return <span>–</span>;
  return <time dateTime={new Date(ms).toISOString()} title={utcTitle(ms)}>{alone ? formatTime(ms, part) : formatMoment(ms, serverNow(), part)}</time>;
}

export function Loading({ what }: { what: string }) {
  return <div class="state" role="status"><span class="spinner" aria-hidden="true" /><p>Loading {what}…</p></div>;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="state"><p class="state-title">{title}</p>{children && <div class="state-text">{children}</div>}</div>;
}

export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const api = error instanceof ApiError ? error : null;
  return (
    <div class="state state-error" role="alert">
      <Icon name="warn" size={20} />
      <p class="state-title">{api?.message ?? String((error as Error)?.message ?? error)}</p>
      {api?.requestId && <p class="state-text">Request <code>{api.requestId}</code>: the server's log has more under this id.</p>}
      {onRetry && <button type="button" class="button" onClick={onRetry}>Try again</button>}
    </div>
  );
}
