import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Place } from '../base/model';
import { hasCoordinates, mapOf, neighbour, tilesOf } from './geometry';

function place(id: number, latitude: number | null, longitude: number | null, area = ''): Place {
  return { id: String(id), name: `Place ${id}`, area, latitude, longitude };
}

// Two islands of 10 by 10 places, one kilometre apart within, fifty between them.
const islands: Place[] = [];
for (let i = 0; i < 100; ++i) islands.push(place(i, 1 + Math.floor(i / 10) * 0.009, 103 + (i % 10) * 0.009, i % 10 < 5 ? 'West' : 'East'));
for (let i = 0; i < 100; ++i) islands.push(place(100 + i, 1 + Math.floor(i / 10) * 0.009, 103.5 + (i % 10) * 0.009, 'Far'));

function inside(loop: Float64Array, x: number, y: number): boolean {
  let within = false;
  for (let i = 0, j = loop.length - 2; i < loop.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [loop[i]!, loop[i + 1]!, loop[j]!, loop[j + 1]!];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}

test('every place is on land, and two islands have two coasts', () => {
  const map = mapOf(islands);
  assert.equal(map.coast.length, 2);
  islands.forEach((_, i) => assert.equal(map.coast.filter((loop) => inside(loop, map.x[i]!, map.y[i]!)).length, 1, `place ${i}`));
  assert.equal(map.coast.some((loop) => inside(loop, map.width / 2, map.height / 2)), false, 'sea between them');
});

test('a point of the land finds its place, the open sea none', () => {
  const map = mapOf(islands);
  assert.equal(map.find(map.x[42]! + 1, map.y[42]! - 1), 42);
  assert.equal(map.find(map.width / 2, map.height / 2), -1);
});

test('north is up and east is right', () => {
  const map = mapOf([place(0, 1, 103), place(1, 2, 103), place(2, 1, 104)]);
  assert.ok(map.y[1]! < map.y[0]!);
  assert.ok(map.x[2]! > map.x[0]!);
});

test('there is a border between two areas and none within one', () => {
  const two = mapOf(islands.slice(0, 100));
  assert.ok(two.borders.length > 0);
  const one = mapOf(islands.slice(100));
  assert.equal(one.borders.length, 0);
  assert.deepEqual(two.labels.map((l) => l.text).sort(), ['East', 'West']);
});

test('a park within the land is no water: the land has one coast and no hole', () => {
  const spiral = Array.from({ length: 900 }, (_, i) => {
    const radius = 0.024 + 0.076 * Math.sqrt(i / 900);
    return place(i, 1.3 + radius * Math.sin(i * 2.39996), 103.8 + radius * Math.cos(i * 2.39996));
  });
  const map = mapOf(spiral);
  assert.equal(map.find(map.width / 2, map.height / 2), -1, 'the gap is wider than what counts as near a place');
  assert.equal(map.coast.length, 1);
  assert.equal(inside(map.coast[0]!, map.width / 2, map.height / 2), true);
});

test('places at one spot do not break the map', () => {
  const map = mapOf(Array.from({ length: 20 }, (_, i) => place(i, 1.3, 103.8 + (i % 2) * 0.1)));
  assert.equal(map.cells.length, 20);
  assert.ok([...map.x, ...map.y].every(Number.isFinite));
});

test('tiles: every place has one, and finding one is exact', () => {
  const tiles = tilesOf(islands.map((p) => ({ ...p, latitude: null, longitude: null })));
  islands.forEach((_, i) => assert.equal(tiles.find(tiles.x[i]!, tiles.y[i]!), i));
  assert.equal(tiles.find(tiles.width + 1, 0), -1);
  assert.equal(tilesOf([]).cells.length, 0);
});

test('coordinates count only when all places have sound ones', () => {
  assert.equal(hasCoordinates(islands), true);
  assert.equal(hasCoordinates([...islands, place(999, null, 103)]), false);
  assert.equal(hasCoordinates([...islands, place(999, 1.3, 1030)]), false);
  assert.equal(hasCoordinates([]), false);
});

test('arrow keys reach the place that lies that way', () => {
  const map = mapOf(islands.slice(0, 100));
  assert.equal(neighbour(map, 44, 1, 0), 45);
  assert.equal(neighbour(map, 44, -1, 0), 43);
  assert.equal(neighbour(map, 44, 0, -1), 54);
  assert.equal(neighbour(map, 44, 0, 1), 34);
  assert.equal(neighbour(map, 0, -1, 0), -1);
});
