// The address is the state: `#/live?location=12&item=person`. Views read their filters from `route` and change them with
// `setParams`, so that every screen can be linked to and the browser's back button works.
import { signal } from '@preact/signals';

export const VIEWS = ['live', 'location', 'explore', 'health', 'sql'] as const;
export type View = (typeof VIEWS)[number];
export interface Route {
  view: View;
  params: Record<string, string>;
}

export function parseRoute(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  const [path = '', query = ''] = text.split('?', 2);
  const view = VIEWS.find((name) => name === path) ?? 'live';
  return { view, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function href(view: View, params: Record<string, string | null | undefined> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== '') query.set(name, value);
  const text = query.toString();
  return `#/${view}${text ? `?${text}` : ''}`;
}

export const route = signal<Route>(parseRoute(location.hash));
addEventListener('hashchange', () => (route.value = parseRoute(location.hash)));

export function go(view: View, params: Record<string, string | null | undefined> = {}): void {
  location.hash = href(view, params);
}

// Changes some parameters of the present view. Replaces the history entry, so that moving a filter does not fill the history.
export function setParams(patch: Record<string, string | null | undefined>): void {
  const next = href(route.value.view, { ...route.value.params, ...patch });
  if (next === location.hash) return;
  history.replaceState(null, '', next);
  route.value = parseRoute(next);
}
