// Name, navigation, the way to a location, the state of the connection, the clock.
import { useEffect, useState } from 'preact/hooks';
import { session, signOut } from '../base/api';
import { formatTime, utcTitle, zoneName } from '../base/format';
import type { Model } from '../base/model';
import { go, href, route, setParams, VIEWS, type View } from '../base/router';
import { theme, toggleTheme } from '../base/theme';
import { boardState, retryLive } from '../live/feed';
import { serverNow, statusLink } from '../live/status';
import type { StreamState } from '../live/stream';
import { Combobox } from './combobox';
import { helpOpen } from './help';
import { Icon, Mark } from './icons';

const TITLES: Record<View, string> = { live: 'Live', location: 'Location', explore: 'Explore', health: 'Health', sql: 'SQL' };

export function Header({ model }: { model: Model | null }) {
  const { view, params } = route.value;
  // The location is carried along between the views that filter by it.
  const carried = { location: params.location };
  const options = (model?.places ?? []).map((place) => ({ value: place.id, label: place.name, hint: place.id }));
  return (
    <header class="top">
      <a class="brand" href={href('live')} aria-label="sightline, live board"><Mark /><span>sightline</span></a>
      <nav aria-label="Views">
        {VIEWS.map((name) => (
          <a key={name} href={href(name, name === 'live' || name === 'location' || name === 'explore' ? carried : {})} aria-current={name === view ? 'page' : undefined}>{TITLES[name]}</a>
        ))}
      </nav>
      <div class="top-find">
        <Combobox
          id="find-location" label="Find a location" hideLabel options={options} value={null} placeholder="Find a location  /"
          onChange={(id) => { if (id !== null) view === 'live' ? setParams({ location: id }) : go('location', { ...(view === 'location' ? params : {}), location: id }); }}
        />
      </div>
      <ConnectionPill />
      <Clock />
      <div class="top-tools">
        <button type="button" class="icon-button" aria-label={theme.value === 'dark' ? 'Use the light theme' : 'Use the dark theme'} title="Light or dark (t)" onClick={toggleTheme}><Icon name={theme.value === 'dark' ? 'sun' : 'moon'} /></button>
        <button type="button" class="icon-button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => (helpOpen.value = true)}><Icon name="help" /></button>
        {session.value.state === 'signed_in' && <button type="button" class="icon-button" aria-label={`Sign out ${session.value.principal}`} title={`Signed in as ${session.value.principal}: sign out`} onClick={() => void signOut()}><Icon name="out" /></button>}
      </div>
    </header>
  );
}

function Clock() {
  const [now, setNow] = useState(serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), 1000);
    return () => clearInterval(timer);
  }, []);
  return <time class="top-clock" title={`${utcTitle(Math.floor(now / 1000) * 1000)} · your zone: ${zoneName()}`}>{formatTime(now)}</time>;
}

export type Link = { tone: 'ok' | 'warn' | 'bad' | 'idle'; text: string; hint: string };

export function linkOf(stream: StreamState, statusState: 'connecting' | 'live' | 'reconnecting', now: number): Link {
  if (stream.state === 'waiting') {
    const seconds = Math.max(0, Math.ceil((stream.until - now) / 1000));
    return { tone: stream.attempt > 3 ? 'bad' : 'warn', text: seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting', hint: 'The connection broke. What you see is from before. Press to try now.' };
  }
  if (stream.state === 'connecting' && stream.attempt > 0) return { tone: 'warn', text: 'Reconnecting', hint: 'The connection broke. What you see is from before.' };
  if (statusState === 'reconnecting') return { tone: 'warn', text: 'Reconnecting', hint: 'The status of the server is not coming in.' };
  if (stream.state === 'live' || (stream.state === 'stopped' && statusState === 'live')) return { tone: 'ok', text: 'Live', hint: 'Changes arrive as they happen.' };
  return { tone: 'idle', text: 'Connecting', hint: 'Waiting for the first data.' };
}

function ConnectionPill() {
  const [, redraw] = useState(0);
  const stream = boardState.value;
  useEffect(() => {
    if (stream.state !== 'waiting') return undefined;
    const timer = setInterval(() => redraw((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [stream]);
  const link = linkOf(stream, statusLink.value, Date.now());
  return (
    <>
      <button type="button" class={`pill pill-${link.tone}`} title={link.hint} onClick={retryLive} data-state={link.tone}><span class="dot" aria-hidden="true" />{link.text}</button>
      <span class="visually-hidden" role="status">{link.tone === 'ok' ? 'Live' : link.tone === 'idle' ? '' : 'Reconnecting'}</span>
    </>
  );
}
