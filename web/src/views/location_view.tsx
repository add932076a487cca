// One location over time: its counts by window, its top items over the range, what is counted there now.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { getJson, query, session } from '../base/api';
import { formatCount, plural } from '../base/format';
import type { Model, Roles } from '../base/model';
import { rangeOf, type Range } from '../base/range';
import { allRows, download, toCsv, type Row } from '../base/results';
import { href, route, setParams } from '../base/router';
import { theme } from '../base/theme';
import { StackChart, type Bar, type Series } from '../charts/stack_chart';
import { Board } from '../live/board';
import { serverNow } from '../live/status';
import { browserSurroundings, LiveStream } from '../live/stream';
import type { Item, WindowItems } from '../live/protocol';
import { itemColour } from '../map/palette';
import { Combobox } from '../parts/combobox';
import { Empty, Failure, Loading, Panel, When } from '../parts/bits';
import { Icon } from '../parts/icons';
import { TimeRange } from '../parts/time_range';
import { TopList } from '../parts/top_list';
import { useData } from '../parts/use_data';

const SERIES_MOST = 7;
const ROWS_MOST = 40_000;
const REFRESH_MS = 15_000;

interface TopAnswer {
  items: Record<string, string | number | null>[];
}

export interface HistoryWindow {
  start: number;
  end: number;
  state: string;
  counts: Map<string, number>;
}

// Rows of unranked counts to windows, oldest first.
export function windowsOf(rows: Row[], roles: Roles): HistoryWindow[] {
  const windows = new Map<number, HistoryWindow>();
  for (const row of rows) {
    const start = Number(row.window_start);
    let window = windows.get(start);
    if (!window) windows.set(start, (window = { start, end: Number(row.window_end), state: String(row.state ?? 'final'), counts: new Map() }));
    const item = String(row[roles.item] ?? '(none)');
    window.counts.set(item, (window.counts.get(item) ?? 0) + Number(row[roles.count] ?? 0));
  }
  return [...windows.values()].sort((a, b) => a.start - b.start);
}

// The first items of the range have a series of their own, the rest share one.
export function seriesOf(top: Item[], windows: HistoryWindow[], only: string | null): { series: Series[]; bars: Bar[] } {
  const named = only !== null ? [only] : top.slice(0, SERIES_MOST).map((item) => item.name);
  const rest = only === null && windows.some((w) => w.counts.size > 0 && [...w.counts.keys()].some((name) => !named.includes(name)));
  const series = named.map((name) => ({ name, colour: itemColour(name, theme.value) }));
  if (rest) series.push({ name: 'others', colour: theme.value === 'dark' ? '#55626d' : '#a9a391' });
  const bars = windows.map((w) => {
    const values = named.map((name) => w.counts.get(name) ?? 0);
    if (rest) values.push([...w.counts].reduce((sum, [name, n]) => (named.includes(name) ? sum : sum + n), 0));
    return { start: w.start, end: w.end, open: w.state === 'open', values };
  });
  return { series, bars };
}

export function LocationView({ model }: { model: Model }) {
  const { params } = route.value;
  const { roles } = model;
  const id = params.location ?? null;
  const options = useMemo(() => model.places.map((p) => ({ value: p.id, label: p.name, hint: p.id })), [model]);
  const range = rangeOf(params, serverNow(), roles.everyMs);
  const place = id === null ? null : model.placeById.get(id);
  return (
    <>
      <div class="filters panel" role="search" aria-label="Filters">
        <div data-find class="filter-wide"><Combobox label="Location" options={options} value={id} placeholder="Type a name or an id" onChange={(value) => setParams({ location: value })} allowFree /></div>
        <TimeRange range={range} />
        {params.item && <div class="filter-chip"><button type="button" class="chip" aria-label={`${params.item}: show all items`} onClick={() => setParams({ item: null })}><span>{params.item}</span><Icon name="cross" size={11} /></button></div>}
        {id !== null && <div class="filter-end"><a class="button" href={href('live', { location: id })}>On the map</a><a class="button" href={href('explore', { ...params, location: id })}>All rows</a></div>}
      </div>
      {id === null ? <Choose model={model} /> : <History key={id} model={model} id={id} name={place?.name ?? `Location ${id}`} range={range} item={params.item ?? null} />}
    </>
  );
}

// Without a choice: the busiest of the range's overall list would need a query of its own; areas with their locations need none.
function Choose({ model }: { model: Model }) {
  const areas = useMemo(() => {
    const by = new Map<string, typeof model.places>();
    for (const place of model.places) by.set(place.area || 'Locations', [...(by.get(place.area || 'Locations') ?? []), place]);
    return [...by].sort((a, b) => a[0].localeCompare(b[0]));
  }, [model]);
  if (model.places.length === 0) return <Empty title="Which location?">Type its id above. The configuration has no reference that names locations.</Empty>;
  return (
    <section class="panel choose">
      <header class="panel-head"><h2>Choose a location</h2><p class="muted">{plural(model.places.length, 'location')} in {plural(areas.length, 'area')}</p></header>
      <div class="choose-areas">
        {areas.map(([area, places]) => (
          <details key={area}>
            <summary>{area}<small>{places.length}</small></summary>
            <ul>{places.map((p) => <li key={p.id}><a href={href('location', { ...route.value.params, location: p.id })}>{p.name.startsWith(area) ? p.name.slice(area.length).replace(/^[\s·]+/, '') || p.name : p.name}</a></li>)}</ul>
          </details>
        ))}
      </div>
    </section>
  );
}

interface HistoryProps {
  model: Model;
  id: string;
  name: string;
  range: Range;
  item: string | null;
}

function History({ model, id, name, range, item }: HistoryProps) {
  const { roles } = model;
  const key = `${id}|${range.from}|${range.to}`;
  const every = range.name === null ? 0 : REFRESH_MS;
  const history = useData(roles.counts === null ? null : key, (abort) => allRows(roles.counts!, { [roles.key]: id, from: range.from, to: range.to, open: 'true' }, ROWS_MOST, abort), every);
  const top = useData(key, (abort) => getJson<TopAnswer>(`/v1/top-items?${query({ location: id, from: range.from, to: range.to, top: 12 })}`, abort), every);
  const windows = useMemo(() => windowsOf(history.value?.rows ?? [], roles), [history.value]);
  const items: Item[] = useMemo(() => (top.value?.items ?? []).map((row) => ({ name: String(row[roles.item] ?? '(none)'), count: Number(row[roles.count] ?? 0), rank: Number(row.rank) })), [top.value]);
  const { series, bars } = useMemo(() => seriesOf(items, windows, item), [items, windows, item, theme.value]);
  const now = useLiveLocation(model, id);
  const sum = items.reduce((n, i) => n + i.count, 0);
  const save = () => download(`${roles.counts}-${id}.csv`, toCsv(['window_start', 'window_end', 'state', ...series.map((s) => s.name)], windows.map((w, i) => [w.start, w.end, w.state, ...bars[i]!.values])));
  return (
    <div class="location">
      <Panel title={name} class="location-chart" aside={<><span class="muted">by window{history.value && !history.value.whole ? ', the first part: choose a shorter range for all' : ''}</span>{history.loading && <span class="spinner" role="status" aria-label="Loading" />}</>}>
        {history.error ? <Failure error={history.error} onRetry={history.reload} />
          : history.value === null ? <Loading what="history" />
          : bars.length === 0 ? <Empty title="Nothing was counted here in this time">Choose a longer range, or look at the <a href={href('live', { location: id })}>map</a> for what is seen now.</Empty>
          : <>
              <StackChart series={series} bars={bars} from={range.from} to={range.to} label={`Counts at ${name} by window`} />
              <ul class="chart-legend" aria-label="Items in the chart">{series.map((s) => <li key={s.name}><button type="button" aria-pressed={item === s.name} disabled={s.name === 'others'} onClick={() => setParams({ item: item === s.name ? null : s.name })}><i style={{ backgroundColor: s.colour }} />{s.name}</button></li>)}</ul>
            </>}
      </Panel>
      <div class="location-side">
        <Panel title="Top items of the range" class="top-panel" aside={<span class="muted">{formatCount(sum)} in final windows</span>}>
          {top.error ? <Failure error={top.error} onRetry={top.reload} /> : top.value === null ? <Loading what="top items" />
            : items.length === 0 ? <p class="panel-note">No window of this range is final yet.</p>
            : <TopList items={items} label={`Top items at ${name} over the range`} selected={item} onSelect={(n) => setParams({ item: n === item ? null : n })} colour={(n) => (series.some((s) => s.name === n) ? itemColour(n, theme.value) : theme.value === 'dark' ? '#55626d' : '#a9a391')} />}
        </Panel>
        {roles.board && <Panel title="Now" class="top-panel" aside={now && <span class={`tag tag-${now.state}`}><When ms={now.start} alone /> {now.state}</span>}>
          {now ? <TopList items={now.items} label={`Top items at ${name} now`} /> : <p class="panel-note">Nothing seen here in the present window.</p>}
        </Panel>}
      </div>
      <WindowTable windows={windows} bars={bars} series={series} onSave={save} />
    </div>
  );
}

const TABLE_ROWS = 240;

function WindowTable({ windows, bars, series, onSave }: { windows: HistoryWindow[]; bars: Bar[]; series: Series[]; onSave: () => void }) {
  if (windows.length === 0) return null;
  const shown = windows.map((w, i) => ({ w, bar: bars[i]! })).reverse().slice(0, TABLE_ROWS);
  return (
    <Panel title="Windows" class="location-table" aside={<button type="button" class="button" onClick={onSave}><Icon name="down" size={14} />CSV</button>}>
      <div class="table-wrap" tabIndex={0} role="region" aria-label="Counts by window">
        <table>
          <thead><tr><th>Window</th><th>State</th>{series.map((s) => <th key={s.name} class="num">{s.name}</th>)}<th class="num">All</th></tr></thead>
          <tbody>
            {shown.map(({ w, bar }) => (
              <tr key={w.start}>
                <td><When ms={w.start} /></td><td><span class={`tag tag-${w.state}`}>{w.state}</span></td>
                {bar.values.map((n, i) => <td key={series[i]!.name} class="num">{formatCount(n)}</td>)}
                <td class="num"><strong>{formatCount(bar.values.reduce((a, b) => a + b, 0))}</strong></td>
              </tr>
            ))}
          </tbody>
        </table>
        {windows.length > TABLE_ROWS && <p class="panel-note">The newest {TABLE_ROWS} of {formatCount(windows.length)} windows. The CSV has all.</p>}
      </div>
    </Panel>
  );
}

// The newest window of one location, live: a stream of its own with the location as its filter.
function useLiveLocation(model: Model, id: string): WindowItems | null {
  const [window, setWindow] = useState<WindowItems | null>(null);
  const { roles } = model;
  useEffect(() => {
    if (roles.board === null) return undefined;
    const board = new Board({ key: roles.key, item: roles.item, count: roles.count });
    const path = `/v1/pipelines/${encodeURIComponent(roles.board)}/live?${query({ [roles.key]: id, rate: 5 })}`;
    const stream = new LiveStream(path, browserSurroundings(), {
      message: (message) => {
        if (message.type === 'snapshot') board.reset();
        board.apply(message.groups);
        setWindow(board.at(id, board.newestAt(serverNow())) ?? board.of(id).at(-1) ?? null);
      },
      state: (state) => state.state === 'signed_out' && (session.value = { state: 'signed_out' }),
    });
    stream.start();
    return () => stream.stop();
  }, [id, model]);
  return window;
}
