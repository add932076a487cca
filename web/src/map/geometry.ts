// From the coordinates of a few hundred or thousand places to a map: a projection, a cell for each place, the coast that all places
// together suggest, and the borders between areas. No tiles and no outside data. Computed once for each version of the reference.
import { Delaunay } from 'd3-delaunay';
import type { Place } from '../base/model';

export interface Label {
  text: string;
  x: number;
  y: number;
  places: number;
}

export interface Geometry {
  kind: 'map' | 'tiles';
  width: number;              // of the world, in its own units; the view scales it
  height: number;
  x: Float64Array;            // per place
  y: Float64Array;
  cells: Float64Array[];      // per place: x0 y0 x1 y1 … of its polygon
  coast: Float64Array[];      // closed loops; empty for tiles
  borders: Float64Array;      // x0 y0 x1 y1 per segment
  labels: Label[];
  find(x: number, y: number): number;  // the place at a point of the world, or -1
}

const WORLD = 1000;      // the longer side of the places' box, in world units
const GRID = 300;        // nodes along the longer side for the coast
const MARGIN = 0.08;     // of the longer side, around the places

interface Points {
  x: Float64Array;
  y: Float64Array;
  width: number;
  height: number;
}

// Equirectangular about the middle latitude: true to shape for a city or a country.
function project(places: Place[]): Points {
  const n = places.length;
  let south = 90, north = -90, west = 180, east = -180;
  for (const { latitude, longitude } of places) {
    south = Math.min(south, latitude!);
    north = Math.max(north, latitude!);
    west = Math.min(west, longitude!);
    east = Math.max(east, longitude!);
  }
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const spanX = Math.max((east - west) * shrink, 1e-6);
  const spanY = Math.max(north - south, 1e-6);
  const scale = WORLD / Math.max(spanX, spanY);
  const margin = WORLD * MARGIN;
  const x = new Float64Array(n);
  const y = new Float64Array(n);
  places.forEach((place, i) => {
    x[i] = (place.longitude! - west) * shrink * scale + margin;
    y[i] = (north - place.latitude!) * scale + margin;
  });
  return { x, y, width: spanX * scale + 2 * margin, height: spanY * scale + 2 * margin };
}

// Exact squared distance of each node to the nearest node where `inside` is 0 (Felzenszwalb and Huttenlocher, 2012).
function distanceToOutside(inside: Uint8Array, columns: number, rows: number): Float64Array {
  const far = 1e12;
  const field = Float64Array.from(inside, (value) => (value ? far : 0));
  const longest = Math.max(columns, rows);
  const f = new Float64Array(longest);
  const hull = new Int32Array(longest);
  const from = new Float64Array(longest + 1);
  const pass = (start: number, step: number, n: number) => {
    for (let i = 0; i < n; ++i) f[i] = field[start + i * step]!;
    let k = 0;
    hull[0] = 0;
    from[0] = -far;
    from[1] = far;
    for (let q = 1; q < n; ++q) {
      let s: number;
      do {
        const p = hull[k]!;
        s = (f[q]! + q * q - (f[p]! + p * p)) / (2 * q - 2 * p);
      } while (s <= from[k]! && --k > -1);
      k += 1;
      hull[k] = q;
      from[k] = s;
      from[k + 1] = far;
    }
    k = 0;
    for (let q = 0; q < n; ++q) {
      while (from[k + 1]! < q) k += 1;
      const p = hull[k]!;
      field[start + q * step] = (q - p) * (q - p) + f[p]!;
    }
  };
  for (let column = 0; column < columns; ++column) pass(column, columns, rows);
  for (let row = 0; row < rows; ++row) pass(row * columns, 1, columns);
  return field.map(Math.sqrt);
}

function blur(field: Float64Array, columns: number, rows: number, times: number): Float64Array {
  let from = field;
  for (let time = 0; time < times; ++time) {
    const to = new Float64Array(from.length);
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) {
        let sum = 0;
        let weight = 0;
        for (let dr = -1; dr <= 1; ++dr) {
          for (let dc = -1; dc <= 1; ++dc) {
            const rr = r + dr;
            const cc = c + dc;
            if (rr < 0 || cc < 0 || rr >= rows || cc >= columns) continue;
            const w = (2 - Math.abs(dr)) * (2 - Math.abs(dc));
            sum += w * from[rr * columns + cc]!;
            weight += w;
          }
        }
        to[r * columns + c] = sum / weight;
      }
    }
    from = to;
  }
  return from;
}

// Marching squares: the loops along which `field` crosses `level`, higher values inside.
function contour(field: Float64Array, columns: number, rows: number, level: number, step: number): Float64Array[] {
  const next = new Map<number, number>();
  const at = new Map<number, [number, number]>();
  const value = (c: number, r: number) => field[r * columns + c]! - level;
  // Edge ids: horizontal edges 2·node, vertical edges 2·node + 1.
  const cross = (edge: number): [number, number] => {
    const node = edge >> 1;
    const c = node % columns;
    const r = (node - c) / columns;
    const a = value(c, r);
    const b = edge & 1 ? value(c, r + 1) : value(c + 1, r);
    const share = a / (a - b);
    return edge & 1 ? [c * step, (r + share) * step] : [(c + share) * step, r * step];
  };
  for (let r = 0; r < rows - 1; ++r) {
    for (let c = 0; c < columns - 1; ++c) {
      const top = 2 * (r * columns + c);
      const left = top + 1;
      const bottom = 2 * ((r + 1) * columns + c);
      const right = 2 * (r * columns + c + 1) + 1;
      const corners = (value(c, r) > 0 ? 8 : 0) | (value(c + 1, r) > 0 ? 4 : 0) | (value(c + 1, r + 1) > 0 ? 2 : 0) | (value(c, r + 1) > 0 ? 1 : 0);
      const link = (a: number, b: number) => next.set(a, b);
      switch (corners) {
        case 1: link(bottom, left); break;
        case 2: link(right, bottom); break;
        case 3: link(right, left); break;
        case 4: link(top, right); break;
        case 5: link(top, left); link(bottom, right); break;
        case 6: link(top, bottom); break;
        case 7: link(top, left); break;
        case 8: link(left, top); break;
        case 9: link(bottom, top); break;
        case 10: link(left, bottom); link(right, top); break;
        case 11: link(right, top); break;
        case 12: link(left, right); break;
        case 13: link(bottom, right); break;
        case 14: link(left, bottom); break;
      }
    }
  }
  for (const edge of next.keys()) at.set(edge, cross(edge));
  const loops: Float64Array[] = [];
  while (next.size > 0) {
    const loop: number[] = [];
    let edge = next.keys().next().value as number;
    while (next.has(edge)) {
      loop.push(...at.get(edge)!);
      const following = next.get(edge)!;
      next.delete(edge);
      edge = following;
    }
    if (loop.length >= 12) loops.push(Float64Array.from(loop));
  }
  return loops;
}

function medianSpacing(delaunay: Delaunay<number>, x: Float64Array, y: Float64Array): number {
  const nearest: number[] = [];
  for (let i = 0; i < x.length; ++i) {
    let least = Number.POSITIVE_INFINITY;
    for (const j of delaunay.neighbors(i)) least = Math.min(least, Math.hypot(x[i]! - x[j]!, y[i]! - y[j]!));
    if (Number.isFinite(least) && least > 0) nearest.push(least);
  }
  nearest.sort((a, b) => a - b);
  return nearest[nearest.length >> 1] ?? WORLD / 20;
}

// All that lies near a place is land: the places' discs are joined where gaps are small (grown by `reach`, then shrunk again).
function coastOf(delaunay: Delaunay<number>, points: Points, reach: number, shore: number): Float64Array[] {
  const step = Math.max(points.width, points.height) / GRID;
  const columns = Math.ceil(points.width / step) + 1;
  const rows = Math.ceil(points.height / step) + 1;
  const near = new Uint8Array(columns * rows);
  let hint = 0;
  for (let r = 0; r < rows; ++r) {
    for (let c = 0; c < columns; ++c) {
      hint = delaunay.find(c * step, r * step, hint);
      const d = Math.hypot(c * step - points.x[hint]!, r * step - points.y[hint]!);
      const edge = r === 0 || c === 0 || r === rows - 1 || c === columns - 1;
      near[r * columns + c] = !edge && d < reach ? 1 : 0;
    }
  }
  const depth = distanceToOutside(near, columns, rows);
  return withoutHoles(contour(blur(depth, columns, rows, 3), columns, rows, (reach - shore) / step, step));
}

function signedArea(loop: Float64Array): number {
  let twice = 0;
  for (let i = 0, j = loop.length - 2; i < loop.length; j = i, i += 2) twice += loop[j]! * loop[i + 1]! - loop[i]! * loop[j + 1]!;
  return twice / 2;
}

// A gap between places within the land is more likely a park or an airfield than water: holes are filled, unless they are so great
// that the land is a ring. Holes run the other way round than shores.
function withoutHoles(loops: Float64Array[]): Float64Array[] {
  const areas = loops.map(signedArea);
  const greatest = areas.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
  return loops.filter((_, i) => Math.sign(areas[i]!) === Math.sign(greatest) || Math.abs(areas[i]!) > Math.abs(greatest) * 0.2);
}

function bordersOf(delaunay: Delaunay<number>, voronoi: { circumcenters: ArrayLike<number> }, areas: string[]): Float64Array {
  const segments: number[] = [];
  const { halfedges, triangles } = delaunay;
  for (let e = 0; e < halfedges.length; ++e) {
    const f = halfedges[e]!;
    if (f < e) continue;
    const i = triangles[e]!;
    const j = triangles[f]!;
    if (areas[i] === areas[j]) continue;
    const a = Math.floor(e / 3) * 2;
    const b = Math.floor(f / 3) * 2;
    segments.push(voronoi.circumcenters[a]!, voronoi.circumcenters[a + 1]!, voronoi.circumcenters[b]!, voronoi.circumcenters[b + 1]!);
  }
  return Float64Array.from(segments);
}

function labelsOf(places: Place[], x: ArrayLike<number>, y: ArrayLike<number>): Label[] {
  const sums = new Map<string, { x: number; y: number; places: number }>();
  places.forEach(({ area }, i) => {
    if (!area) return;
    const sum = sums.get(area) ?? { x: 0, y: 0, places: 0 };
    sums.set(area, { x: sum.x + x[i]!, y: sum.y + y[i]!, places: sum.places + 1 });
  });
  return [...sums].map(([text, s]) => ({ text, x: s.x / s.places, y: s.y / s.places, places: s.places })).sort((a, b) => b.places - a.places);
}

export function hasCoordinates(places: Place[]): boolean {
  return places.length >= 3 && places.every((p) => p.latitude !== null && p.longitude !== null && Math.abs(p.latitude) <= 90 && Math.abs(p.longitude) <= 180);
}

export function mapOf(places: Place[]): Geometry {
  const points = project(places);
  const { x, y, width, height } = points;
  const flat = new Float64Array(places.length * 2);
  for (let i = 0; i < places.length; ++i) {
    // Places at one spot would have no cell of their own: set them apart by less than can be seen.
    flat[2 * i] = x[i]! + ((i * 7919) % 101) * 1e-4;
    flat[2 * i + 1] = y[i]! + ((i * 104729) % 101) * 1e-4;
  }
  const delaunay = new Delaunay<number>(flat);
  const voronoi = delaunay.voronoi([0, 0, width, height]);
  const spacing = medianSpacing(delaunay, x, y);
  const reach = Math.min(Math.max(spacing * 4.4, WORLD * 0.03), WORLD * 0.075);
  const shore = Math.min(spacing * 1.5, reach * 0.5);
  const cells = places.map((_, i) => Float64Array.from((voronoi.cellPolygon(i) ?? []).flat()));
  return {
    kind: 'map', width, height, x, y, cells,
    coast: coastOf(delaunay, points, reach, shore),
    borders: bordersOf(delaunay, voronoi, places.map((p) => p.area)),
    labels: labelsOf(places, x, y),
    find: (px, py) => {
      const i = delaunay.find(px, py);
      return Math.hypot(px - x[i]!, py - y[i]!) <= reach * 0.75 ? i : -1;
    },
  };
}

// Places without coordinates: a field of tiles, in the order given, in the proportion of a wide screen.
export function tilesOf(places: Place[], aspect = 1.6): Geometry {
  const n = Math.max(1, places.length);
  const columns = Math.max(1, Math.ceil(Math.sqrt(n * aspect)));
  const rows = Math.ceil(n / columns);
  const size = WORLD / columns;
  const gap = size * 0.05;
  const x = Float64Array.from({ length: places.length }, (_, i) => ((i % columns) + 0.5) * size);
  const y = Float64Array.from({ length: places.length }, (_, i) => (Math.floor(i / columns) + 0.5) * size);
  const half = size / 2 - gap;
  const cells = places.map((_, i) => {
    const [l, r, t, b] = [x[i]! - half, x[i]! + half, y[i]! - half, y[i]! + half];
    return Float64Array.of(l, t, r, t, r, b, l, b);
  });
  return {
    kind: 'tiles', width: columns * size, height: rows * size, x, y, cells, coast: [], borders: new Float64Array(0), labels: [],
    find: (px, py) => {
      const column = Math.floor(px / size);
      const row = Math.floor(py / size);
      const i = row * columns + column;
      return column >= 0 && column < columns && row >= 0 && i < places.length ? i : -1;
    },
  };
}

// The place one would reach by pressing an arrow key: near, and in that direction. -1 when there is none.
export function neighbour(geometry: Geometry, from: number, dx: number, dy: number): number {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < geometry.x.length; ++i) {
    if (i === from) continue;
    const ax = geometry.x[i]! - geometry.x[from]!;
    const ay = geometry.y[i]! - geometry.y[from]!;
    const along = ax * dx + ay * dy;
    const across = Math.abs(ax * dy - ay * dx);
    if (along <= 1e-6 || across > along * 1.2) continue;
    const cost = along + across * 2;
    if (cost < least) {
      least = cost;
      best = i;
    }
  }
  return best;
}
