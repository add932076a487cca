// Chooses a range of time: one of the usual ones up to now, or a beginning and an end.
import { useState } from 'preact/hooks';
import { fromLocalInput, RANGES, toLocalInput, type Range, type RangeName } from '../base/range';
import { setParams } from '../base/router';
import { zoneName } from '../base/format';
import { Segmented } from './bits';

export function TimeRange({ range }: { range: Range }) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const custom = range.name === null;
  const choose = (value: RangeName | 'custom') => {
    setTrouble(null);
    if (value === 'custom') setParams({ range: null, from: String(range.from), to: String(range.to) });
    else setParams({ range: value === '1h' ? null : value, from: null, to: null });
  };
  const change = (which: 'from' | 'to') => (event: Event) => {
    const ms = fromLocalInput((event.currentTarget as HTMLInputElement).value);
    if (ms === null) return;
    const next = { from: range.from, to: range.to, [which]: ms };
    if (next.from >= next.to) {
      setTrouble('The beginning must be before the end.');
      return;
    }
    setTrouble(null);
    setParams({ range: null, from: String(next.from), to: String(next.to) });
  };
  return (
    <div class="time-range">
      <div>
        <span class="field-label" aria-hidden="true">Time</span>
        <Segmented
          label="Time range" value={range.name ?? 'custom'} onChange={choose}
          choices={[...(Object.keys(RANGES) as RangeName[]).map((name) => ({ value: name, label: name, title: `The last ${name}` })), { value: 'custom' as const, label: 'From – to' }]}
        />
      </div>
      {custom && (
        <>
          <div><label class="field-label" for="range-from">From</label><input id="range-from" type="datetime-local" value={toLocalInput(range.from)} title={`In your zone, ${zoneName()}`} onChange={change('from')} /></div>
          <div><label class="field-label" for="range-to">To</label><input id="range-to" type="datetime-local" value={toLocalInput(range.to)} title={`In your zone, ${zoneName()}`} onChange={change('to')} /></div>
          {trouble && <p class="field-trouble" role="alert">{trouble}</p>}
        </>
      )}
    </div>
  );
}
