import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Board, total } from './board';
import { busiestOf, heatOf, scaleOf } from './heat';
import type { Group } from './protocol';

const columns = { key: 'oid', item: 'item_name', count: 'item_count' };
const MINUTE = 60_000;

function group(oid: string, start: number, items: [string, number][], state: Group['state'] = 'open', revision = 0): Group {
  return {
    window_start: start, window_end: start + MINUTE, state, revision, key: { oid },
    rows: items.map(([item_name, item_count], i) => ({ item_name, item_count, rank: i + 1 })),
  };
}

test('a group replaces the former one of the same window and key as a unit', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 5], ['bus', 2]])]);
  board.apply([group('1', 0, [['bus', 9]])]);
  assert.deepEqual(board.at('1', 0)?.items, [{ name: 'bus', count: 9, rank: 1 }]);
});

test('the order and the ranks of the server are kept, whatever the counts say', () => {
  const board = new Board(columns);
  const odd = group('1', 0, [['zebra', 1], ['ant', 7], ['bee', 7]]);
  odd.rows[0]!.rank = 4;
  board.apply([odd]);
  assert.deepEqual(board.at('1', 0)?.items.map((i) => [i.name, i.rank]), [['zebra', 4], ['ant', 2], ['bee', 3]]);
});

test('a group without rows removes its window, and the location with the last one', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 5]]), group('1', MINUTE, [['car', 1]])]);
  board.apply([group('1', 0, [])]);
  assert.equal(board.at('1', 0), null);
  assert.equal(board.windows.has('1'), true);
  board.apply([group('1', MINUTE, [])]);
  assert.equal(board.windows.has('1'), false);
});

test('a correction without rows removes what was final, tells of nothing, and closes the open windows before it', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 5]]), group('1', MINUTE, [['car', 2]], 'final'), group('2', MINUTE, [['car', 3]], 'final')]);
  board.apply([group('1', 0, [['car', 6]])]);
  assert.deepEqual(board.apply([group('1', MINUTE, [], 'corrected', 1)]), []);
  assert.equal(board.windows.has('1'), false);
  assert.deepEqual(board.of('2').map((w) => w.state), ['final']);
  board.apply([group('1', MINUTE, [['bus', 1]], 'corrected', 2)]);
  assert.deepEqual(board.of('1').map((w) => [w.start / MINUTE, w.revision]), [[1, 2]]);
});

test('old final windows go, open ones stay', () => {
  const board = new Board(columns);
  board.apply([0, 1, 2, 3].map((n) => group('1', n * MINUTE, [['car', n + 1]], 'final')));
  board.apply([group('1', 4 * MINUTE, [['car', 1]]), group('1', 5 * MINUTE, [['car', 1]])]);
  assert.deepEqual(board.of('1').map((w) => w.start / MINUTE), [2, 3, 4, 5]);
  assert.equal(board.newestAt(5 * MINUTE), 5 * MINUTE);
  assert.equal(board.newestFinal, 3 * MINUTE);
});

test('a final window closes the open ones before it, and no others', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 1]]), group('1', MINUTE, [['car', 2]]), group('1', 2 * MINUTE, [['car', 3]]), group('2', 0, [['car', 4]])]);
  board.apply([group('1', MINUTE, [['car', 2]], 'final')]);
  assert.deepEqual(board.of('1').map((w) => [w.start / MINUTE, w.state]), [[1, 'final'], [2, 'open']]);
  assert.equal(board.of('2').length, 1);
});

test('a new leader of an open window and a correction are told of, a first sight is not', () => {
  const board = new Board(columns);
  assert.deepEqual(board.apply([group('1', 0, [['car', 5]])]), []);
  assert.deepEqual(board.apply([group('1', 0, [['car', 6], ['bus', 5]])]), []);
  const [leader] = board.apply([group('1', 0, [['bus', 7], ['car', 6]])]);
  assert.deepEqual(leader, { kind: 'leader', id: '1', item: 'bus', before: 'car', count: 7, windowStart: 0 });
  assert.deepEqual(board.apply([group('1', 0, [['bus', 7]], 'final')]), []);
  const [corrected] = board.apply([group('1', 0, [['car', 8]], 'corrected', 1)]);
  assert.equal(corrected?.kind, 'corrected');
  assert.deepEqual(board.apply([group('1', 0, [['car', 8]], 'corrected', 1)]), []);
});

test('identifiers stay strings beyond 2^53', () => {
  const board = new Board(columns);
  board.apply([group('9223372036854775807', 0, [['car', 1]]), group('9223372036854775806', 0, [['bus', 2]])]);
  assert.equal(board.at('9223372036854775807', 0)?.items[0]?.name, 'car');
  assert.equal(board.at('9223372036854775806', 0)?.items[0]?.name, 'bus');
});

test('without a key column all groups are one', () => {
  const board = new Board({ ...columns, key: null });
  board.apply([{ ...group('x', 0, [['car', 3]]), key: {} }]);
  assert.equal(total(board.at('', 0), null), 3);
});

test('a window that a fast clock opened early does not hide the present one', () => {
  const board = new Board(columns);
  assert.equal(board.newestAt(0), Number.NEGATIVE_INFINITY);
  board.apply([group('1', MINUTE, [['car', 60]]), group('2', 2 * MINUTE, [['car', 1]])]);
  assert.equal(board.newestAt(2 * MINUTE - 1), MINUTE);
  assert.equal(board.newestAt(2 * MINUTE), 2 * MINUTE);
  assert.equal(board.newestAt(0), 2 * MINUTE, 'all ahead: the clocks differ');
  for (let n = 3; n < 1000; ++n) board.apply([group('1', n * MINUTE, [['car', 1]], 'final')]);
  assert.equal(board.newestAt(1e12), 999 * MINUTE);
});

test('the heat now: the open window and the share of the one before that is not over', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 60], ['bus', 20]]), group('1', MINUTE, [['car', 10]])]);
  const at = (now: number, mode: 'now' | 'open' | 'final' = 'now', item: string | null = null) => heatOf(board, '1', { mode, item, now, newest: board.newestAt(now), sizeMs: MINUTE, everyMs: MINUTE });
  assert.equal(at(MINUTE), 90);
  assert.equal(at(MINUTE + 45_000), 10 + 20);
  assert.equal(at(5 * MINUTE), 10);
  assert.equal(heatOf(board, '1', { mode: 'now', item: null, now: MINUTE - 500, newest: MINUTE, sizeMs: MINUTE, everyMs: MINUTE }), 90);  // no share twice
  assert.equal(at(MINUTE, 'now', 'bus'), 20);
  assert.equal(at(MINUTE, 'open'), 10);
  assert.equal(at(MINUTE, 'final'), 0);
  assert.equal(heatOf(board, 'unknown', { mode: 'now', item: null, now: 0, newest: 0, sizeMs: MINUTE, everyMs: MINUTE }), 0);
});

test('sliding windows overlap, so nothing is added to the newest', () => {
  const board = new Board(columns);
  board.apply([group('1', 0, [['car', 60]]), group('1', 5000, [['car', 50]])]);
  assert.equal(heatOf(board, '1', { mode: 'now', item: null, now: 6000, newest: 5000, sizeMs: MINUTE, everyMs: 5000 }), 50);
});

test('the scale is the 98th percentile of the newest final window and never zero', () => {
  const board = new Board(columns);
  const ids = Array.from({ length: 100 }, (_, i) => String(i));
  assert.equal(scaleOf(board, ids, new Float32Array(100), null), 1);
  board.apply(ids.map((id, i) => group(id, 0, [['car', i === 99 ? 100_000 : i + 1]], 'final')));
  assert.equal(scaleOf(board, ids, new Float32Array(100), null), 98);
  assert.deepEqual(busiestOf(['a', 'b', 'c'], Float32Array.of(2, 0, 9)), ['c', 'a']);
});
