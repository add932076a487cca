// Shortcuts and their overlay.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { go, route, VIEWS } from '../base/router';
import { toggleTheme } from '../base/theme';

export const helpOpen = signal(false);

const GROUPS: { title: string; keys: [string, string][] }[] = [
  {
    title: 'Everywhere',
    keys: [['1 – 5', 'Live, Location, Explore, Health, SQL'], ['/', 'find a location'], ['t', 'light or dark'], ['f', 'full screen, for a wall'], ['?', 'this help'], ['Esc', 'close, clear']],
  },
  {
    title: 'On the map',
    keys: [['← ↑ → ↓', 'the next location that way'], ['Shift + arrows', 'move the map'], ['+  −', 'zoom'], ['0', 'show all'], ['Enter', 'open the location'], ['Esc', 'back to the busiest']],
  },
  { title: 'In lists and charts', keys: [['Tab', 'from part to part'], ['Enter', 'choose: an item, a row'], ['← →', 'from window to window in a chart']] },
  { title: 'SQL', keys: [['Ctrl + Enter', 'run']] },
];

const typing = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

function toggleFullScreen(): void {
  const change = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  change.catch(() => undefined);  // the browser may forbid it
}

export function installShortcuts(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target) || helpOpen.peek()) return;
    const view = VIEWS[Number(event.key) - 1];
    if (view) go(view, view === 'health' || view === 'sql' ? {} : { location: route.peek().params.location });
    else if (event.key === '/') (document.querySelector<HTMLElement>('.view [data-find] input') ?? document.getElementById('find-location'))?.focus();
    else if (event.key === 't') toggleTheme();
    else if (event.key === 'f') toggleFullScreen();
    else if (event.key === '?') helpOpen.value = true;
    else return;
    event.preventDefault();
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}

export function HelpOverlay() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = helpOpen.value;
  useEffect(() => {
    if (open && !dialog.current?.open) dialog.current?.showModal();
    if (!open && dialog.current?.open) dialog.current.close();
  }, [open]);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (helpOpen.value = false)} onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
      <div class="help-body">
        <header><h2 id="help-title">Keyboard</h2><button type="button" class="button" onClick={() => dialog.current?.close()}>Close</button></header>
        <div class="help-groups">
          {GROUPS.map((group) => (
            <section key={group.title}>
              <h3>{group.title}</h3>
              <dl>{group.keys.map(([keys, does]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{does}</dd></div>)}</dl>
            </section>
          ))}
        </div>
      </div>
    </dialog>
  );
}
