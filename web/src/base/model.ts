// What the server says of its pipelines and references, and which of them play which part on the dashboard: the board ranks items
// per location, the overall ranks them over all, the counts are what both are made from. The parts are found by shape, and the
// preset's own names win, so that a configuration with other names or other keys works as well.
import { getJson } from './api';

export interface Column {
  name: string;
  type: string;
  identifier?: boolean;
}
export interface Pipeline {
  name: string;
  from: string;
  columns: Column[];
  group: string[];
  window: { size_ms: number; every_ms: number } | null;
  ranked: boolean;
  live: boolean;
  statistics: boolean;
}

export interface Roles {
  board: string | null;     // ranked per location, live
  overall: string | null;   // ranked over all, live
  counts: string | null;    // unranked, with history
  key: string;              // the column that identifies a location
  label: string | null;     // the column that names it
  item: string;
  count: string;
  windowMs: number;
  everyMs: number;
}

export interface Place {
  id: string;
  name: string;
  area: string;             // '' when unknown
  latitude: number | null;
  longitude: number | null;
}

export interface Model {
  pipelines: Pipeline[];
  roles: Roles;
  places: Place[];
  placeById: Map<string, Place>;
  reference: { name: string; version: number } | null;
}

const NUMBERS = new Set(['int64', 'double', 'int32']);

export function findRoles(pipelines: Pipeline[]): Roles {
  const named = (name: string, fits: (p: Pipeline) => boolean) => pipelines.find((p) => p.name === name && fits(p)) ?? pipelines.find(fits) ?? null;
  const board = named('top_items', (p) => p.ranked && p.live && p.group.length === 1);
  const overall = named('top_items_overall', (p) => p.ranked && p.live && p.group.length === 0);
  const fitsCounts = (p: Pipeline) => !p.ranked && p.statistics && (!board || p.name === board.from || p.columns.some((c) => c.name === board.group[0]));
  const counts = pipelines.find((p) => p.name === board?.from && fitsCounts(p)) ?? named('item_counts', fitsCounts);
  const shape = board ?? counts ?? overall;
  const key = board?.group[0] ?? shape?.columns.find((c) => c.identifier)?.name ?? 'geographical_location_oid';
  const columns = shape?.columns ?? [];
  const label = columns.find((c) => c.name === key.replace(/_(oid|id)$/, '') && c.name !== key)?.name ?? null;
  const item = columns.find((c) => c.type === 'string' && !c.identifier && c.name !== key && c.name !== label)?.name ?? 'item_name';
  const count = columns.find((c) => NUMBERS.has(c.type) && !c.identifier && c.name !== 'rank' && c.name !== key)?.name ?? 'item_count';
  const window = shape?.window ?? { size_ms: 60_000, every_ms: 60_000 };
  return {
    board: board?.name ?? null, overall: overall?.name ?? null, counts: counts?.name ?? null,
    key, label, item, count, windowMs: window.size_ms, everyMs: window.every_ms,
  };
}

type ReferenceRow = Record<string, string | number | null>;

function numberOf(row: ReferenceRow, names: string[]): number | null {
  for (const name of names) {
    const value = row[name];
    const number = typeof value === 'string' && value !== '' ? Number(value) : value;
    if (typeof number === 'number' && Number.isFinite(number)) return number;
  }
  return null;
}

export function placesOf(rows: ReferenceRow[], roles: Roles): Place[] {
  return rows.map((row) => {
    const id = String(row[roles.key] ?? '');
    const name = String((roles.label ? row[roles.label] : null) ?? id);
    const area = row.planning_area ?? row.area ?? row.district ?? row.region ?? (name.includes(' · ') ? name.split(' · ')[0] : '');
    return { id, name: name || id, area: String(area ?? ''), latitude: numberOf(row, ['latitude', 'lat']), longitude: numberOf(row, ['longitude', 'lon', 'lng']) };
  });
}

// The part of a place's name that its area does not already say.
export function shortName(place: Place): string {
  const rest = place.area && place.name.startsWith(place.area) ? place.name.slice(place.area.length).replace(/^[\s·,–-]+/, '') : '';
  return rest || place.name;
}

export async function loadModel(): Promise<Model> {
  const [{ pipelines }, { references }] = await Promise.all([
    getJson<{ pipelines: Pipeline[] }>('/v1/pipelines'),
    getJson<{ references: { name: string }[] }>('/v1/references'),
  ]);
  const roles = findRoles(pipelines);
  for (const { name } of references) {
    const reference = await getJson<{ name: string; version: number; rows: ReferenceRow[] }>(`/v1/references/${encodeURIComponent(name)}`);
    if (reference.rows.length > 0 && !(roles.key in reference.rows[0]!)) continue;
    const places = placesOf(reference.rows, roles);
    return { pipelines, roles, places, placeById: new Map(places.map((p) => [p.id, p])), reference: { name, version: reference.version } };
  }
  return { pipelines, roles, places: [], placeById: new Map(), reference: null };
}
