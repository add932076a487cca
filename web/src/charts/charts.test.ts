import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ticksTo, timeTicks } from './ticks';
import { filterOptions } from '../parts/options';

test('axis ticks begin at zero, are round, and cover the highest value', () => {
  assert.deepEqual(ticksTo(733, 4), [0, 200, 400, 600, 800]);
  assert.deepEqual(ticksTo(1, 4), [0, 1]);
  for (const high of [1, 2, 9, 10, 11, 99, 101, 12345, 9.9e9]) {
    const ticks = ticksTo(high, 5);
    assert.ok(ticks.at(-1)! >= high && ticks.at(-2)! < high, `${high}: ${ticks}`);
    assert.ok(ticks.length <= 8);
  }
});

test('time ticks fall on whole steps of the local zone', () => {
  const midnight = new Date(2026, 4, 4).getTime();
  assert.deepEqual(timeTicks(midnight, midnight + 86_400_000, 4).map((t) => new Date(t).getHours()), [0, 6, 12, 18]);
  assert.equal(timeTicks(midnight, midnight + 3_600_000, 12)[1]! - midnight, 300_000);
  assert.ok(timeTicks(midnight, midnight + 90 * 86_400_000, 10).length <= 10);
});

test('options: every word must fit, beginnings first, accents do not matter', () => {
  const options = ['Jurong East · Post 01', 'East Coast · Post 02', 'Café · Post 01', 'Bedok'].map((label, i) => ({ value: String(i), label, hint: String(i) }));
  assert.deepEqual(filterOptions(options, 'east').map((o) => o.label), ['East Coast · Post 02', 'Jurong East · Post 01']);
  assert.deepEqual(filterOptions(options, 'post cafe').map((o) => o.value), ['2']);
  assert.deepEqual(filterOptions(options, '3').map((o) => o.label), ['Bedok']);
  assert.equal(filterOptions(options, '').length, 4);
  assert.equal(filterOptions(options, 'nowhere').length, 0);
});
