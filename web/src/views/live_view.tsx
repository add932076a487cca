// The wall board: where things are seen now, what is seen most, and whether the numbers can be trusted.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { formatCompact, formatCount, formatDuration, formatRate, plural } from '../base/format';
import { shortName, type Model, type Place } from '../base/model';
import { go, href, route, setParams } from '../base/router';
import { reducedMotion, theme } from '../base/theme';
import { boardState, heat, leaderItems, liveIds, liveLists, overallState, pauseLive, setFocus, startLive, ticker, type LiveLists } from '../live/feed';
import type { HeatMode, TickerEvent } from '../live/frame';
import type { WindowItems } from '../live/protocol';
import { deadLetters, history, identityOf, root, serverNow, status, statusLink } from '../live/status';
import { MapView } from '../map/map_view';
import { heatRamp, itemColour } from '../map/palette';
import { Sparkline } from '../charts/sparkline';
import { Empty, Loading, Panel, Segmented, When } from '../parts/bits';
import { Icon } from '../parts/icons';
import { TopList } from '../parts/top_list';

const MODES: { value: HeatMode; label: string; title: string }[] = [
  { value: 'now', label: 'Now', title: 'The last window length: the open window, and the matching share of the one before' },
  { value: 'open', label: 'Open window', title: 'Exact counts of the window that is filling' },
  { value: 'final', label: 'Final', title: 'Exact counts of the newest final window' },
];

function focusOf(params: Record<string, string>): { mode: HeatMode; item: string | null; location: string | null } {
  const mode = MODES.find((m) => m.value === params.mode)?.value ?? 'now';
  return { mode, item: params.item ?? null, location: params.location ?? null };
}

const spanOf = (ms: number) => (ms === 60_000 ? 'minute' : ms === 3_600_000 ? 'hour' : formatDuration(ms));

// Without a reference the places are those that the data itself names.
function usePlaces(model: Model): Place[] {
  const ids = liveIds.value;
  return useMemo(() => {
    const more = ids.filter((id) => !model.placeById.has(id)).map((id) => ({ id, name: id === '' ? '(none)' : id, area: '', latitude: null, longitude: null }));
    return model.places.length > 0 ? model.places : more;
  }, [ids, model]);
}

function windowFor(windows: WindowItems[], lists: LiveLists, mode: HeatMode): WindowItems | null {
  const newestFinal = windows.filter((w) => w.state !== 'open').at(-1) ?? null;
  if (mode === 'final') return newestFinal;
  return windows.find((w) => w.start === lists.open) ?? windows.filter((w) => lists.open === null || w.start <= lists.open).at(-1) ?? null;
}

export function LiveView({ model }: { model: Model }) {
  const { params } = route.value;
  const focus = focusOf(params);
  const colourBy = params.colour === 'leader' ? 'leader' : 'heat';
  const places = usePlaces(model);
  useEffect(() => {
    startLive(model, focus, reducedMotion.peek() ? 1 : 5);
    return pauseLive;
  }, [model]);
  useEffect(() => setFocus(focus), [focus.mode, focus.item, focus.location]);

  const lists = liveLists.value;
  const index = useMemo(() => new Map(liveIds.value.map((id, i) => [id, i])), [liveIds.value]);
  const describe = (id: string) => {
    const i = index.get(id) ?? -1;
    const leader = leaderItems.peek()[heat.leader[i] ?? -1];
    const count = heat.values[i] ?? 0;
    return `${formatCount(Math.round(count))} ${focus.item ?? 'seen'}${focus.mode === 'now' ? ` in the last ${spanOf(model.roles.windowMs)}` : ''}${leader && !focus.item ? ` · most: ${leader}` : ''}`;
  };
  if (!model.roles.board) return <NoBoard />;
  const stale = statusLink.value === 'reconnecting' || boardState.value.state === 'waiting' || (boardState.value.state === 'connecting' && boardState.value.attempt > 0);
  return (
    <div class={`live ${stale ? 'is-stale' : ''}`}>
      <Vitals lists={lists} known={model.places.length} />
      <div class="live-map panel">
        <MapBar model={model} focus={focus} colourBy={colourBy} places={places} />
        {places.length > 0
          ? <MapView places={places} selected={focus.location ?? lists.location} colourBy={colourBy} describe={describe} onSelect={(id) => setParams({ location: id })} onOpen={(id) => go('location', { location: id })} />
          : <Loading what="locations" />}
        <Legend colourBy={colourBy} span={focus.mode === 'now' ? spanOf(model.roles.windowMs) : 'window'} />
        {lists.active === 0 && boardState.value.state === 'live' && <Quiet />}
      </div>
      <div class="live-side">
        <WindowClock model={model} lists={lists} />
        <OverallPanel model={model} lists={lists} mode={focus.mode} item={focus.item} />
        <LocationPanel model={model} lists={lists} mode={focus.mode} chosen={focus.location} />
      </div>
      <div class="live-low">
        <Busiest model={model} lists={lists} item={focus.item} describe={describe} />
        <Ticker model={model} />
      </div>
    </div>
  );
}

function NoBoard() {
  return (
    <Empty title="No pipeline ranks items per location">
      Add one with a <code>rank</code> step and <code>to: [live]</code> to the configuration, as the preset <code>top-items</code> does, and restart.
      What runs now is under <a href={href('health')}>Health</a>.
    </Empty>
  );
}

function Quiet() {
  return (
    <div class="live-quiet">
      <Empty title="Nothing seen yet">
        Locations light up with the first events. Send some with <code>sightline simulate</code> or <code>sightline send FILE</code>.
      </Empty>
    </div>
  );
}

function Vital({ label, value, unit, tone, spark, title, wide }: { label: string; value: string; unit?: string; tone?: string; spark?: (number | null)[]; title?: string; wide?: boolean }) {
  return (
    <div class={`vital ${tone ? `tone-${tone}` : ''} ${wide ? 'is-wide' : ''}`} title={title}>
      <dt>{label}</dt>
      <dd>{value}{unit && <small>{unit}</small>}{spark && <Sparkline values={spark} width={110} height={30} />}</dd>
    </div>
  );
}

function Vitals({ lists, known }: { lists: LiveLists; known: number }) {
  const pipeline = root.value;
  const now = status.value;
  const samples = history.value.slice(-90);
  const identity = pipeline ? identityOf(pipeline) : null;
  const failed = now?.pipelines.find((p) => p.state === 'failed');
  const behind = pipeline?.watermark != null && now ? now.now - pipeline.watermark : null;
  const dead = pipeline ? deadLetters(pipeline.verdicts) : null;
  const duplicates = pipeline && pipeline.in > 0 ? (100 * (pipeline.verdicts.duplicates ?? 0)) / pipeline.in : null;
  return (
    <dl class="vitals" aria-label="Vital signs">
      <Vital label="Events" value={formatRate(pipeline?.rate_per_s)} unit="/s" spark={samples.map((s) => s.rate)} wide />
      <Vital label="Lag" value={formatDuration(pipeline?.lag_ms)} tone={pipeline && pipeline.lag_ms > 5000 ? 'warn' : ''} title={`${formatCount(pipeline?.lag_records)} records not yet counted`} />
      <Vital label="Watermark" value={behind === null ? '–' : formatDuration(behind)} unit={behind === null ? '' : ' behind'} title="How far the event time up to which everything has arrived is behind the clock" />
      <Vital label="Locations seen" value={formatCount(lists.active)} unit={known ? ` of ${formatCount(known)}` : ''} />
      <Vital label="Duplicates" value={duplicates === null ? '–' : duplicates.toFixed(1)} unit={duplicates === null ? '' : ' %'} title={`${formatCount(pipeline?.verdicts.duplicates)} events came more than once and were counted once`} />
      <Vital label="Dead letters" value={formatCompact(dead)} title="Events set aside with their reason: see Health" />
      {failed
        ? <Vital label="Pipeline" value={`${failed.name} failed`} tone="bad" title={failed.error ?? ''} />
        : <Vital label="Accounts" value={identity ? (identity.holds ? 'balanced' : 'off') : '–'} tone={identity ? (identity.holds ? 'ok' : 'bad') : ''} title="Every event offered is counted under exactly one verdict" />}
    </dl>
  );
}

function MapBar({ model, focus, colourBy, places }: { model: Model; focus: { mode: HeatMode; item: string | null }; colourBy: 'heat' | 'leader'; places: Place[] }) {
  return (
    <div class="map-bar">
      <div class="map-title">
        <h2>{focus.item ? <>Sightings of <em>{focus.item}</em></> : 'Sightings by location'}</h2>
        <p>{plural(places.length, 'location')}{model.reference ? ` · ${model.reference.name} v${model.reference.version}` : ''}</p>
      </div>
      <div class="map-controls">
        {focus.item && <button type="button" class="chip" aria-label={`${focus.item}: show all items`} onClick={() => setParams({ item: null })}><span>{focus.item}</span><Icon name="cross" size={11} /></button>}
        <Segmented label="Counts of" value={focus.mode} choices={MODES} onChange={(mode) => setParams({ mode: mode === 'now' ? null : mode })} />
        <Segmented
          label="Colour by" value={colourBy} onChange={(value) => setParams({ colour: value === 'heat' ? null : value })}
          choices={[{ value: 'heat', label: 'Heat', title: 'How much is seen' }, { value: 'leader', label: 'Top item', title: 'Which item leads' }]}
        />
      </div>
    </div>
  );
}

function Legend({ colourBy, span }: { colourBy: 'heat' | 'leader'; span: string }) {
  const lists = liveLists.value;  // redraw with the frames
  const names = leaderItems.value;
  if (colourBy === 'leader') {
    const leading = new Map<number, number>();
    for (const i of heat.leader) if (i >= 0) leading.set(i, (leading.get(i) ?? 0) + 1);
    const top = [...leading].sort((a, b) => b[1] - a[1]).slice(0, 6);
    return <div class="legend" data-frame={lists.open}>{top.map(([i, n]) => <span key={i} class="legend-item"><i style={{ backgroundColor: itemColour(names[i]!, theme.value) }} />{names[i]} <b>{formatCount(n)}</b></span>)}</div>;
  }
  const ramp = heatRamp(theme.value);
  return (
    <div class="legend">
      <span>0</span>
      <span class="legend-ramp" aria-hidden="true">{Array.from({ length: 12 }, (_, i) => <i key={i} style={{ backgroundColor: ramp[Math.round((i / 11) * (ramp.length - 1))] }} />)}</span>
      <span>{formatCount(Math.round(heat.scale))} a {span}</span>
    </div>
  );
}

// The window from its opening until it is final: first it fills, then it waits for stragglers until the watermark has passed.
function WindowClock({ model, lists }: { model: Model; lists: LiveLists }) {
  const [now, setNow] = useState(serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), 250);
    return () => clearInterval(timer);
  }, []);
  const { windowMs, everyMs } = model.roles;
  const behind = root.value?.watermark != null && status.value ? Math.max(0, status.value.now - root.value.watermark) : 30_000;
  const newest = lists.open;
  if (newest === null && lists.final === null) return <section class="panel clock"><p class="muted">No window is open.</p></section>;
  // Sliding windows overlap: the newest stands for all of them.
  const windows = newest === null ? [] : (everyMs === windowMs ? [newest - windowMs, newest] : [newest]).filter((start) => lists.final === null || start > lists.final);
  return (
    <section class="panel clock" aria-label="Windows">
      {lists.final !== null && (
        <div class="clock-row is-final">
          <span class="clock-time"><When ms={lists.final} alone /></span>
          <span class="clock-track"><i class="clock-fill is-final" /></span>
          <span class="clock-state"><Icon name="check" size={12} />final</span>
        </div>
      )}
      {windows.map((start) => <WindowRow key={start} start={start} sizeMs={windowMs} settleMs={behind} now={now} />)}
    </section>
  );
}

function WindowRow({ start, sizeMs, settleMs, now }: { start: number; sizeMs: number; settleMs: number; now: number }) {
  const whole = sizeMs + settleMs;
  const passed = Math.min(whole, Math.max(0, now - start));
  const filling = passed < sizeMs;
  const left = Math.max(0, start + whole - now);
  return (
    <div class="clock-row" role="progressbar" aria-label={`Window ${new Date(start).toISOString()}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round((100 * passed) / whole)} aria-valuetext={filling ? 'filling' : 'waiting for late events'}>
      <span class="clock-time"><When ms={start} alone /></span>
      <span class="clock-track">
        <i class="clock-fill" style={{ transform: `scaleX(${passed / whole})` }} />
        <i class="clock-mark" style={{ left: `${(100 * sizeMs) / whole}%` }} title="The window ends here; then it waits until the watermark has passed" />
      </span>
      <span class="clock-state">{filling ? 'open' : 'settling'}<small>{left > 0 ? `${Math.ceil(left / 1000)} s` : 'soon'}</small></span>
    </div>
  );
}

function StateTag({ window }: { window: WindowItems | null }) {
  if (!window) return null;
  return <span class={`tag tag-${window.state}`}><When ms={window.start} alone />{window.state === 'corrected' ? ` corrected ×${window.revision}` : ` ${window.state}`}</span>;
}

function OverallPanel({ model, lists, mode, item }: { model: Model; lists: LiveLists; mode: HeatMode; item: string | null }) {
  const window = windowFor(lists.overall, lists, mode);
  if (!model.roles.overall) return null;
  return (
    <Panel title="Top items, everywhere" class="top-panel" aside={<StateTag window={window} />}>
      {window ? <TopList items={window.items} label="Top items over all locations" selected={item} onSelect={(name) => setParams({ item: name === item ? null : name })} />
        : overallState.value.state === 'live' ? <p class="panel-note">The first window closes a little after its end; then its ranking stands here.</p> : overallState.value.state === 'waiting' && overallState.value.attempt > 2 ? <p class="panel-note">The overall ranking cannot be received. It needs a permission of its own: ask whoever runs this server.</p>
        : <Loading what="ranking" />}
    </Panel>
  );
}

function LocationPanel({ model, lists, mode, chosen }: { model: Model; lists: LiveLists; mode: HeatMode; chosen: string | null }) {
  const id = chosen ?? lists.location;
  const place = id === null ? null : (model.placeById.get(id) ?? null);
  const fresh = lists.location === id;
  const window = fresh ? windowFor(lists.lists, lists, mode) : null;
  const name = place ? place.name : (id ?? 'Location');
  return (
    <Panel
      title={<>{name}{chosen === null && id !== null && <span class="title-note">busiest</span>}</>} class="top-panel"
      aside={<><StateTag window={window} />{id !== null && <a class="icon-button" href={href('location', { location: id })} aria-label={`Open ${name}`} title="History of this location (Enter on the map)"><Icon name="right" /></a>}</>}
    >
      {window ? <TopList key={id} items={window.items} label={`Top items at ${name}`} />
        : <p class="panel-note">{id === null ? 'Choose a location on the map, or press /.' : fresh ? 'Nothing seen here in this window.' : 'One moment…'}</p>}
    </Panel>
  );
}

function Busiest({ model, lists, item, describe }: { model: Model; lists: LiveLists; item: string | null; describe: (id: string) => string }) {
  const index = new Map(liveIds.peek().map((id, i) => [id, i]));
  const most = Math.max(1, ...lists.busiest.map((id) => heat.values[index.get(id) ?? -1] ?? 0));
  return (
    <Panel title={item ? `Most ${item}` : 'Busiest locations'} class="busiest">
      <ol>
        {lists.busiest.slice(0, 6).map((id) => {
          const place = model.placeById.get(id);
          const value = heat.values[index.get(id) ?? -1] ?? 0;
          return (
            <li key={id}>
              <button type="button" class="busy-row" title={describe(id)} onClick={() => setParams({ location: id })}>
                <span class="busy-name">{place?.area || place?.name || id}{place?.area && <small>{shortName(place)}</small>}</span>
                <span class="busy-bar" aria-hidden="true"><i style={{ transform: `scaleX(${value / most})` }} /></span>
                <span class="busy-count">{formatCount(Math.round(value))}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}

function Ticker({ model }: { model: Model }) {
  const events = ticker.value.slice(0, 6);
  return (
    <Panel title="What changed" class="ticker">
      {events.length === 0 ? <p class="panel-note">Changes of rank, closed windows and corrections are told here.</p>
        : <ol>{events.map((event) => <li key={event.id} class={`tick tick-${event.kind}`}><When ms={event.at} part="seconds" alone /><TickText event={event} model={model} /></li>)}</ol>}
    </Panel>
  );
}

function TickText({ event, model }: { event: TickerEvent; model: Model }) {
  if (event.kind === 'final') return <span>Window <When ms={event.windowStart} alone /> is <strong>final</strong> at {plural(event.count, 'location')}</span>;
  const place = event.location === null ? '' : (model.placeById.get(event.location)?.name ?? event.location);
  const where = <button type="button" class="link" onClick={() => setParams({ location: event.location })}>{place}</button>;
  if (event.kind === 'corrected') return <span>{where}: window <When ms={event.windowStart} alone /> <strong>corrected</strong>, {event.item} leads with {formatCount(event.count)}</span>;
  return <span>{where}: <strong>{event.item}</strong> passes {event.before} with {formatCount(event.count)}</span>;
}
