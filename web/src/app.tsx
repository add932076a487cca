// The frame around every view: who is signed in, what the server runs, navigation, shortcuts.
import { effect, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { checkSession, getJson, session } from './base/api';
import { loadModel, type Model } from './base/model';
import { route, type View } from './base/router';
import { restarts, rootName, startStatus, stopStatus } from './live/status';
import { Failure, Loading } from './parts/bits';
import { Mark } from './parts/icons';
import { Header } from './parts/header';
import { HelpOverlay, installShortcuts } from './parts/help';
import { ExploreView } from './views/explore_view';
import { HealthView } from './views/health_view';
import { LiveView } from './views/live_view';
import { LocationView } from './views/location_view';
import { SignInView } from './views/sign_in_view';
import { SqlView } from './views/sql_view';

const model = signal<Model | null>(null);
const failure = signal<unknown>(null);
const RETRY_MS = 4000;
const REFERENCE_CHECK_MS = 60_000;

async function begin(): Promise<void> {
  try {
    await checkSession();
    failure.value = null;
  } catch (error) {
    failure.value = error;
  }
}

async function prepare(): Promise<void> {
  try {
    const loaded = await loadModel();
    rootName.value = loaded.roles.counts ?? loaded.pipelines[0]?.name ?? '';
    model.value = loaded;
    failure.value = null;
  } catch (error) {
    failure.value = error;
  }
}

// References can be loaded anew while the page is open.
async function checkReference(): Promise<void> {
  const known = model.peek()?.reference;
  if (!known || session.peek().state !== 'signed_in' || document.hidden) return;
  try {
    const { references } = await getJson<{ references: { name: string; version: number }[] }>('/v1/references');
    if (references.find((r) => r.name === known.name)?.version !== known.version) await prepare();
  } catch {
    // The connection's own state says so.
  }
}

effect(() => {
  if (restarts.value > 0) void prepare();
});

effect(() => {
  if (session.value.state === 'signed_in') {
    startStatus();
    if (!model.peek()) void prepare();
  } else stopStatus();
});

const VIEWS: Record<View, { title: string; render: (model: Model) => preact.JSX.Element }> = {
  live: { title: 'Live', render: (m) => <LiveView model={m} /> },
  location: { title: 'Location', render: (m) => <LocationView model={m} /> },
  explore: { title: 'Explore', render: (m) => <ExploreView model={m} /> },
  health: { title: 'Health', render: (m) => <HealthView model={m} /> },
  sql: { title: 'SQL', render: () => <SqlView /> },
};

export function App() {
  useEffect(() => {
    void begin();
    const timer = setInterval(() => void checkReference(), REFERENCE_CHECK_MS);
    const remove = installShortcuts();
    return () => {
      clearInterval(timer);
      remove();
    };
  }, []);
  const view = VIEWS[route.value.view];
  useEffect(() => {
    document.title = session.value.state === 'signed_out' ? 'Sign in · sightline' : `${view.title} · sightline`;
  }, [view, session.value.state]);

  if (session.value.state === 'signed_out') return <SignInView />;
  const loaded = model.value;
  const retry = () => void (session.value.state === 'signed_in' ? prepare() : begin());
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>Skip to the content</a>
      <Header model={loaded} />
      <main id="main" tabIndex={-1} class={`view view-${route.value.view}`}>
        <h1 class="visually-hidden">{view.title}</h1>
        {failure.value ? <Unreachable error={failure.value} retry={retry} /> : loaded ? view.render(loaded) : <div class="center"><Mark size={44} /><Loading what="what this server runs" /></div>}
      </main>
      <HelpOverlay />
    </>
  );
}

function Unreachable({ error, retry }: { error: unknown; retry: () => void }) {
  useEffect(() => {
    const timer = setInterval(retry, RETRY_MS);
    return () => clearInterval(timer);
  }, []);
  return <div class="center"><Failure error={error} onRetry={retry} /><p class="muted">Trying again every few seconds.</p></div>;
}
