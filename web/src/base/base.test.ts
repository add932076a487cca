import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatCompact, formatCount, formatDuration, formatMoment, formatRate, formatTime, plural, utcTitle } from './format';
import { findRoles, placesOf, shortName, type Pipeline } from './model';
import { rangeOf } from './range';
import { toCsv } from './results';

test('numbers', () => {
  assert.equal(formatCount(1234567), '1,234,567');
  assert.equal(formatCount(null), '–');
  assert.equal(formatCompact(9999), '9,999');
  assert.equal(formatCompact(1_284_031), '1.3M');
  assert.equal(formatRate(3.14159), '3.1');
  assert.equal(formatRate(0), '0');
  assert.equal(formatBytes(1536), '1.5 KiB');
  assert.equal(formatBytes(1023), '1,023 B');
  assert.equal(plural(1, 'location'), '1 location');
  assert.equal(plural(2000, 'location'), '2,000 locations');
});

test('durations in their two greatest units, without 60 seconds', () => {
  assert.equal(formatDuration(12.4), '12 ms');
  assert.equal(formatDuration(1500), '1.5 s');
  assert.equal(formatDuration(59_700), '1 min 0 s');
  assert.equal(formatDuration(3_599_900), '1 h 0 min');
  assert.equal(formatDuration(-2000), '−2 s');
  assert.equal(formatDuration(3 * 86_400_000), '3 d 0 h');
});

test('times in the zone of the reader, UTC beside', () => {
  const at = Date.UTC(2026, 0, 1, 17, 5, 9);   // the tests run in Singapore, UTC+8
  assert.equal(formatTime(at), '01:05:09');
  assert.equal(formatMoment(at, at, 'minutes'), '01:05');
  assert.equal(formatMoment(at, at + 86_400_000, 'minutes'), '2026-01-02 01:05');
  assert.equal(utcTitle(at), '2026-01-01 17:05:09 UTC');
});

const preset: Pipeline[] = [
  { name: 'item_counts', from: 'camera_events', group: ['geographical_location_oid'], window: { size_ms: 60_000, every_ms: 60_000 }, ranked: false, live: true, statistics: true, columns: [{ name: 'geographical_location_oid', type: 'int64', identifier: true }, { name: 'geographical_location', type: 'string' }, { name: 'item_name', type: 'string' }, { name: 'item_count', type: 'int64' }] },
  { name: 'top_items', from: 'item_counts', group: ['geographical_location_oid'], window: { size_ms: 60_000, every_ms: 60_000 }, ranked: true, live: true, statistics: true, columns: [{ name: 'geographical_location_oid', type: 'int64', identifier: true }, { name: 'geographical_location', type: 'string' }, { name: 'item_name', type: 'string' }, { name: 'item_count', type: 'int64' }, { name: 'rank', type: 'int64' }] },
  { name: 'top_items_overall', from: 'item_counts', group: [], window: { size_ms: 60_000, every_ms: 60_000 }, ranked: true, live: true, statistics: true, columns: [{ name: 'item_name', type: 'string' }, { name: 'item_count', type: 'int64' }, { name: 'rank', type: 'int64' }] },
];

test('the parts of the preset are found', () => {
  assert.deepEqual(findRoles(preset), {
    board: 'top_items', overall: 'top_items_overall', counts: 'item_counts', key: 'geographical_location_oid', label: 'geographical_location',
    item: 'item_name', count: 'item_count', windowMs: 60_000, everyMs: 60_000,
  });
});

test('and those of a configuration with other names', () => {
  const rename = (text: string) => text.replaceAll('geographical_location', 'shop').replaceAll('item_count', 'scan_n').replaceAll('item_name', 'product').replaceAll('top_items', 'best');
  const roles = findRoles(JSON.parse(rename(JSON.stringify(preset))) as Pipeline[]);
  assert.deepEqual([roles.board, roles.overall, roles.counts, roles.key, roles.label, roles.item, roles.count], ['best', 'best_overall', 'scan_ns', 'shop_oid', 'shop', 'product', 'scan_n']);
});

test('no pipelines, no board', () => assert.deepEqual([findRoles([]).board, findRoles([]).counts], [null, null]));

test('places from reference rows, with and without coordinates', () => {
  const roles = findRoles(preset);
  const [a, b, c] = placesOf([
    { geographical_location_oid: '7', geographical_location: 'Bedok · Post 01', latitude: 1.3, longitude: '103.9', planning_area: 'Bedok' },
    { geographical_location_oid: '8', geographical_location: 'Yishun · Post 02', latitude: '', longitude: null },
    { geographical_location_oid: 9, geographical_location: null },
  ], roles);
  assert.deepEqual(a, { id: '7', name: 'Bedok · Post 01', area: 'Bedok', latitude: 1.3, longitude: 103.9 });
  assert.equal(shortName(a!), 'Post 01');
  assert.deepEqual([b!.latitude, b!.longitude, b!.area], [null, null, 'Yishun']);
  assert.deepEqual([c!.id, c!.name], ['9', '9']);
});

test('a range ends after the open window; from and to win when they are sound', () => {
  assert.deepEqual(rangeOf({}, 3_600_500, 60_000), { name: '1h', from: 60_000, to: 3_660_000 });
  assert.deepEqual(rangeOf({ range: '15m' }, 960_000, 60_000), { name: '15m', from: 120_000, to: 1_020_000 });
  assert.deepEqual(rangeOf({ from: '5', to: '9', range: '6h' }, 0), { name: null, from: 5, to: 9 });
  assert.equal(rangeOf({ from: '9', to: '5' }, 0).name, '1h');
  assert.equal(rangeOf({ from: 'x', to: '5' }, 0).name, '1h');
  assert.equal(rangeOf({ range: 'toString' }, 0).name, '1h');
});

test('CSV after RFC 4180', () => {
  assert.equal(toCsv(['a', 'b"'], [['x,y', null], ['line\nbreak', 'say "hi"'], [1, true]]), 'a,"b"""\n"x,y",\n"line\nbreak","say ""hi"""\n1,true\n');
});
