// All stored results, row by row: filters in the address, pages, and the whole selection as CSV.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { getJson, query } from '../base/api';
import { formatCount, utcTitle } from '../base/format';
import type { Column, Model } from '../base/model';
import { rangeOf } from '../base/range';
import { allRows, download, resultsPath, toCsv, type Page, type Row } from '../base/results';
import { href, route, setParams } from '../base/router';
import { serverNow } from '../live/status';
import { Empty, Failure, Loading, Panel, Segmented, When } from '../parts/bits';
import { Combobox } from '../parts/combobox';
import { Icon } from '../parts/icons';
import { TimeRange } from '../parts/time_range';
import { useData } from '../parts/use_data';

const PAGE = 100;
const CSV_MOST = 500_000;

export function ExploreView({ model }: { model: Model }) {
  const { params } = route.value;
  const { roles } = model;
  const stored = model.pipelines.filter((p) => p.statistics);
  const pipeline = stored.find((p) => p.name === params.pipeline) ?? stored.find((p) => p.name === (roles.board ?? roles.counts)) ?? stored[0];
  const [now, setNow] = useState(serverNow());
  const range = rangeOf(params, now, roles.everyMs);
  const has = (column: string) => pipeline?.columns.some((c) => c.name === column) ?? false;
  const filters = {
    from: range.from, to: range.to, order: params.order === 'asc' ? 'asc' : 'desc',
    ...(has(roles.key) ? { [roles.key]: params.location } : {}), ...(has(roles.item) ? { [roles.item]: params.item } : {}),
  };
  const [cursors, setCursors] = useState<(string | null)[]>([null]);   // of the pages up to this one
  const key = pipeline ? JSON.stringify([pipeline.name, filters]) : null;
  useEffect(() => setCursors([null]), [key]);
  const cursor = cursors.at(-1) ?? null;
  const data = useData<Page>(key === null ? null : `${key}|${cursor}`, (abort) => getJson<Page>(resultsPath(pipeline!.name, { ...filters, limit: PAGE, cursor }), abort));
  const items = useData(`items|${range.from}|${range.to}`, (abort) => getJson<{ items: Row[] }>(`/v1/top-items?${query({ from: range.from, to: range.to, top: 500 })}`, abort));
  const locations = useMemo(() => model.places.map((p) => ({ value: p.id, label: p.name, hint: p.id })), [model]);
  if (!pipeline) return <Empty title="No pipeline keeps its results">Add <code>statistics</code> to a pipeline's <code>to</code> in the configuration. What runs is under <a href={href('health')}>Health</a>.</Empty>;
  return (
    <>
      <div class="filters panel" role="search" aria-label="Filters">
        <div>
          <label class="field-label" for="pipeline">Results of</label>
          <select id="pipeline" value={pipeline.name} onChange={(e) => setParams({ pipeline: e.currentTarget.value })}>{stored.map((p) => <option key={p.name} value={p.name}>{p.name}</option>)}</select>
        </div>
        {has(roles.key) && <div data-find class="filter-wide"><Combobox label="Location" clearable allowFree options={locations} value={params.location ?? null} placeholder="All locations" onChange={(value) => setParams({ location: value })} /></div>}
        {has(roles.item) && <div class="filter-item"><Combobox label="Item" clearable allowFree options={(items.value?.items ?? []).map((row) => String(row[roles.item] ?? '')).filter(Boolean).map((name) => ({ value: name, label: name }))} value={params.item ?? null} placeholder="All items" onChange={(value) => setParams({ item: value })} /></div>}
        <TimeRange range={range} />
        <div>
          <span class="field-label" aria-hidden="true">Order</span>
          <Segmented label="Order" value={filters.order as 'asc' | 'desc'} onChange={(order) => setParams({ order: order === 'desc' ? null : order })} choices={[{ value: 'desc', label: 'Newest first' }, { value: 'asc', label: 'Oldest first' }]} />
        </div>
        <div class="filter-end"><button type="button" class="button" onClick={() => { setNow(serverNow()); data.reload(); }}>Refresh</button><CsvButton name={pipeline.name} filters={filters} columns={['window_start', 'window_end', 'state', 'revision', ...pipeline.columns.map((c) => c.name)]} /></div>
      </div>
      <Panel title={pipeline.name} class="explore-rows" aside={<Pager cursors={cursors} next={data.value?.next_cursor ?? null} rows={data.value?.rows.length ?? 0} onChange={setCursors} />}>
        {data.error ? <Failure error={data.error} onRetry={data.reload} />
          : data.value === null ? <Loading what="rows" />
          : data.value.rows.length === 0 ? <Empty title="No rows fit these filters">Take one away or choose a longer time. A window's rows are stored when it is final, which is a little after its end.</Empty>
          : <RowsTable rows={data.value.rows} columns={pipeline.columns} location={{ id: roles.key, name: roles.label }} count={roles.count} busy={data.loading} />}
      </Panel>
    </>
  );
}

function Pager({ cursors, next, rows, onChange }: { cursors: (string | null)[]; next: string | null; rows: number; onChange: (cursors: (string | null)[]) => void }) {
  const first = (cursors.length - 1) * PAGE;
  return (
    <div class="pager">
      <span class="muted">{rows === 0 ? '' : `${formatCount(first + 1)} – ${formatCount(first + rows)}`}</span>
      <button type="button" class="icon-button" aria-label="Page before" disabled={cursors.length < 2} onClick={() => onChange(cursors.slice(0, -1))}><Icon name="left" /></button>
      <button type="button" class="icon-button" aria-label="Next page" disabled={next === null} onClick={() => next !== null && onChange([...cursors, next])}><Icon name="right" /></button>
    </div>
  );
}

function RowsTable({ rows, columns, location, count, busy }: { rows: Row[]; columns: Column[]; location: { id: string; name: string | null }; count: string; busy: boolean }) {
  const numeric = (c: Column) => !c.identifier && c.type !== 'string' && c.type !== 'bool';
  const most = Math.max(1, ...rows.map((row) => Number(row[count] ?? 0)));
  const cell = (row: Row, c: Column) => {
    const value = row[c.name];
    if (value === null || value === undefined) return <span class="muted">none</span>;
    if (c.name === location.id || c.name === location.name) return <a href={href('location', { location: String(row[location.id]) })}>{String(value)}</a>;
    if (c.name === count) return <span class="cell-bar"><i style={{ transform: `scaleX(${Number(value) / most})` }} aria-hidden="true" />{formatCount(Number(value))}</span>;
    return numeric(c) ? formatCount(Number(value)) : String(value);
  };
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label="Rows" aria-busy={busy}>
      <table>
        <thead><tr><th>Window</th><th>State</th>{columns.map((c) => <th key={c.name} class={numeric(c) ? 'num' : ''}>{c.name}</th>)}</tr></thead>
        <tbody>
          {rows.map((row, i) => (
            <tr key={i}>
              <td title={`${utcTitle(Number(row.window_start))} to ${utcTitle(Number(row.window_end))}`}><When ms={Number(row.window_start)} /></td>
              <td><span class={`tag tag-${row.state}`}>{String(row.state)}{Number(row.revision) > 0 ? ` ×${row.revision}` : ''}</span></td>
              {columns.map((c) => <td key={c.name} class={numeric(c) ? 'num' : ''} title={typeof row[c.name] === 'string' ? String(row[c.name]) : undefined}>{cell(row, c)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CsvButton({ name, filters, columns }: { name: string; filters: Record<string, string | number | null | undefined>; columns: string[] }) {
  const [rows, setRows] = useState<number | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const run = async () => {
    setRows(0);
    setTrouble(null);
    try {
      const all = await allRows(name, filters, CSV_MOST, undefined, setRows);
      download(`${name}.csv`, toCsv(columns, all.rows.map((row) => columns.map((c) => row[c]))));
      if (!all.whole) setTrouble(`The file holds the first ${formatCount(all.rows.length)} rows. Choose a shorter time for all.`);
    } catch (error) {
      setTrouble(String((error as Error).message));
    }
    setRows(null);
  };
  return (
    <>
      <button type="button" class="button" disabled={rows !== null} onClick={() => void run()}><Icon name="down" size={14} />{rows === null ? 'Download CSV' : `${formatCount(rows)} rows…`}</button>
      {trouble && <p class="field-trouble" role="alert">{trouble}</p>}
    </>
  );
}
