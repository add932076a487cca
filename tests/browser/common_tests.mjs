// What holds for the dashboard in front of any server with the preset top-items: run against the program and against the mock.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { number } from './harness.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const KEY = 'geographical_location_oid';
const VIEWS = ['live', 'location?location=0', 'location', 'explore', 'health', 'health?reason=invalid', 'sql'];

export function commonTests(suite) {
  signInTests(suite);
  linkTests(suite);
  liveTests(suite);
  keyboardTests(suite);
  historyTests(suite);
  exploreTests(suite);
  healthTests(suite);
  deadLetterTests(suite);
  sqlTests(suite);
  accessTests(suite);
  finalTests(suite);
}

function signInTests(suite) {
  suite.test('asks a stranger to sign in, refuses a wrong token, takes the right one', async ({ page, server }) => {
    await page.goto(`${server.url}#/health`);
    await page.getByRole('heading', { name: 'Sign in to sightline' }).waitFor();
    const refused = await page.request.get(`${server.url}v1/status`);
    assert.equal(refused.status(), 401);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').filter({ hasText: 'Paste the token first' }).waitFor();
    await page.getByLabel('Token').fill('not-the-token');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'not known' }).waitFor();
    if (!server.token) return;
    await page.getByLabel('Token').fill(`${server.token}\n`.trim());
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Accounts' }).waitFor();
    assert.match(page.url(), /#\/health$/, 'the address is kept through the sign-in');
  }, { signedIn: false, allow: [/401/] });
}

function linkTests(suite) {
  suite.test('a sign-in link that is used up leads to the sign-in page, which says so once', async ({ page, server }) => {
    await page.goto(`${server.url}sign-in?code=used-up`);
    await page.getByRole('heading', { name: 'Sign in to sightline' }).waitFor();
    await page.getByRole('alert').filter({ hasText: 'used already' }).waitFor();
    assert.equal(new URL(page.url()).search, '', 'the address is clean again');
  }, { signedIn: false, allow: [/401/] });
}

function liveTests(suite) {
  suite.test('the page comes under a policy that forbids what is inline or from elsewhere', async ({ page, server }) => {
    const answer = await page.goto(server.url);
    const policy = answer.headers()['content-security-policy'] ?? '';
    assert.match(policy, /default-src '(self|none)'/);
    assert.doesNotMatch(policy, /unsafe-(inline|eval)|\*/);
    assert.match(policy, /frame-ancestors 'none'/);
    const inline = await page.evaluate(() => document.querySelectorAll('script:not([src]), style, [style*="javascript"]').length);
    assert.equal(inline, 0);
  });

  suite.test('the board is live: ranks 1 to n, and counts that move', async (visit) => {
    await visit.live();
    const first = await visit.ranked('Top items over all locations');
    assert.deepEqual(first.map(([rank]) => rank), first.map((_, i) => i + 1));
    await visit.until('a count to move', async () => JSON.stringify(await visit.ranked('Top items over all locations')) !== JSON.stringify(first), 90_000);
  });

  suite.test('the map is painted with the heat of the locations', async (visit) => {
    await visit.live();
    await visit.until('colours of the ramp on the map', () => visit.page.locator('.map-canvas').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let i = 0; i < data.length; i += 4 * 97) seen.add((data[i] >> 3 << 10) | (data[i + 1] >> 3 << 5) | (data[i + 2] >> 3));
      return seen.size > 25;
    }));
  });

  suite.test('a click on the map selects a location and says so in the address', async (visit) => {
    await visit.live();
    const box = await visit.page.locator('.map-canvas').boundingBox();
    await visit.until('a location under the pointer', async () => {
      for (const [x, y] of [[0.5, 0.5], [0.45, 0.45], [0.55, 0.6], [0.35, 0.5]]) {
        await visit.page.mouse.click(box.x + box.width * x, box.y + box.height * y);
        if (visit.params().get('location')) return true;
      }
      return false;
    });
    const id = visit.params().get('location');
    const { rows } = await visit.api('v1/references/locations');
    const { geographical_location: name } = rows.find((row) => row[KEY] === id);
    await visit.page.getByRole('heading', { name, exact: true }).waitFor();
  });

  suite.test('an item filters the map, stays in the address, and comes back after a reload', async (visit) => {
    await visit.live();
    const [[, item]] = await visit.ranked('Top items over all locations');
    await visit.page.getByRole('list', { name: 'Top items over all locations' }).locator(`li[data-name="${item}"] button`).click();
    await visit.address('item', item);
    await visit.page.getByRole('heading', { name: `Sightings of ${item}` }).waitFor();
    await visit.page.reload();
    await visit.page.getByRole('heading', { name: `Sightings of ${item}` }).waitFor();
    await visit.page.getByRole('button', { name: `${item}: show all items` }).click();
    await visit.address('item', null);
  });

  suite.test('with reduced motion nothing is animated', async (visit) => {
    await visit.live();
    const running = await visit.page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running').length);
    assert.equal(running, 0);
    await visit.until('counts without a fraction of the way', async () => {
      const [[, , count]] = await visit.ranked('Top items over all locations');
      return Number.isInteger(count);
    });
  }, { reducedMotion: 'reduce' });
}

// Last, since the first window of a program that has just started is final after a minute and a half.
function finalTests(suite) {
  suite.test('final rankings on the screen are those of the API, in its order', async (visit) => {
    await busyLocation(visit);
    await visit.live('live?mode=final&location=0');
    const rows = async (pipeline, filter) => {
      const { rows: found } = await visit.api(`v1/pipelines/${pipeline}/results?order=desc&limit=400${filter}`);
      return found;
    };
    const compare = async (list, pipeline, filter) => visit.until(`"${list}" to equal the API's`, async () => {
      const shown = await visit.ranked(list);
      const all = await rows(pipeline, filter);
      // The screen may be one window ahead of the store or behind it: it must equal one of the newest windows in full.
      const starts = [...new Set(all.map((row) => row.window_start))].slice(0, 3);
      return shown.length > 0 && starts.some((start) => {
        const want = all.filter((row) => row.window_start === start).sort((a, b) => a.rank - b.rank).map((row) => [row.rank, row.item_name, row.item_count]);
        return JSON.stringify(want) === JSON.stringify(shown);
      });
    }, 150_000);
    await compare('Top items over all locations', 'top_items_overall', '');
    const name = (await visit.api('v1/references/locations')).rows.find((row) => row[KEY] === '0').geographical_location;
    await compare(`Top items at ${name}`, 'top_items', `&${KEY}=0`);
  });
}

function keyboardTests(suite) {
  suite.test('everything by keyboard: find, move on the map, open, help, theme, views', async (visit) => {
    const { page } = visit;
    await visit.live();
    await page.keyboard.press('/');
    await page.keyboard.type('tampines post 03');
    const option = page.getByRole('option').first();
    await option.waitFor();
    await page.keyboard.press('Enter');
    await visit.until('the location in the address', () => visit.params().get('location'));
    const from = visit.params().get('location');
    await page.locator('.map-canvas').focus();
    await page.keyboard.press('ArrowLeft');
    const to = await visit.until('the next location', () => visit.params().get('location') !== from && visit.params().get('location'));
    const { rows } = await visit.api('v1/references/locations');
    const [a, b] = [from, to].map((id) => rows.find((row) => row[KEY] === id));
    assert.ok(b.longitude < a.longitude, 'left is west');
    const spoken = page.locator('.map [role=status]');
    await visit.until('the selection to be announced', async () => (await spoken.textContent()).includes(b.geographical_location));
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/location\?location=/);
    await page.locator('#main').focus();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    const before = await theme();
    // The dialog says a moment after it is gone that it is closed, and keys are its own until then.
    await visit.until('the other theme', async () => {
      await page.keyboard.press('t');
      return (await theme()) !== before;
    });
    for (const [key, view] of [['4', 'health'], ['5', 'sql'], ['3', 'explore'], ['1', 'live']]) {
      await page.keyboard.press(key);
      await page.waitForURL(new RegExp(`#/${view}`));
      await page.locator('#main').focus();
    }
  });

  suite.test('the skip link is first, and focus can be seen', async (visit) => {
    const { page } = visit;
    await visit.live();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    for (let i = 0; i < 8; ++i) {
      await page.keyboard.press('Tab');
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, 'none', await page.evaluate(() => document.activeElement.outerHTML.slice(0, 120)));
    }
  });
}

// A location that has rows in the last hour.
async function busyLocation(visit) {
  return visit.until('a stored result', async () => {
    const { rows } = await visit.api('v1/pipelines/top_items/results?order=desc&limit=1');
    return rows[0]?.[KEY];
  }, 150_000);
}

function historyTests(suite) {
  suite.test('the history of a location: chart, table, sums and CSV agree with the API', async (visit) => {
    const { page } = visit;
    const id = await busyLocation(visit);
    const to = (await visit.api('v1/status')).now;
    const from = to - 3_600_000;
    const minute = 60_000;
    const range = `from=${Math.floor(from / minute) * minute}&to=${Math.floor(to / minute) * minute - 2 * minute}`;
    const { items } = await visit.api(`v1/top-items?location=${id}&${range}&top=12`);
    if (items.length === 0) return visit.until('a final window two minutes old', async () => (await visit.api(`v1/top-items?location=${id}&from=0&to=${to}`)).items.length > 0);
    await visit.open(`location?location=${id}&${range}`);
    await page.locator('.chart canvas').waitFor();
    const name = await page.locator('.location-chart h2').textContent();
    await visit.until('the sums of the API', async () => JSON.stringify(await visit.ranked(`Top items at ${name} over the range`)) === JSON.stringify(items.map((i) => [i.rank, i.item_name, i.item_count])));
    const total = items.reduce((sum, i) => sum + i.item_count, 0);
    const all = await page.locator('.location-table tbody tr td:last-child').allTextContents();
    const sum = all.reduce((n, text) => n + number(text), 0);
    assert.ok(sum >= total, `the table's windows (${sum}) hold at least the top items (${total})`);
    await page.locator('.chart canvas').focus();
    await page.keyboard.press('End');
    const readout = page.locator('.chart-readout .chart-sum b');
    await visit.until('the newest window to read out as the first row of the table', async () => (await readout.textContent()) === all[0]);
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    const lines = (await readFile(await file.path(), 'utf8')).trimEnd().split('\n');
    assert.equal(lines.length, all.length + 1);
    return undefined;
  });

  suite.test('a range and an item are in the address', async (visit) => {
    const { page } = visit;
    const id = await busyLocation(visit);
    await visit.open(`location?location=${id}`);
    await page.getByRole('button', { name: '15m' }).click();
    await visit.address('range', '15m');
    await page.getByRole('button', { name: 'From – to' }).click();
    await visit.until('the 15 minutes in the address', () => Number(visit.params().get('to')) - Number(visit.params().get('from')) === 900_000);
    await page.getByLabel('From', { exact: true }).waitFor();
    await page.getByRole('button', { name: '1h' }).click();
    await visit.address('from', null);
  });
}

function exploreTests(suite) {
  suite.test('rows by location and item, page by page, as CSV, with the address as the state', async (visit) => {
    const { page } = visit;
    const id = await busyLocation(visit);
    await visit.open('explore?pipeline=top_items');
    await page.locator('.explore-rows tbody tr').first().waitFor();
    await page.getByRole('combobox', { name: 'Location', exact: true }).fill(id);
    await page.keyboard.press('Enter');
    await visit.until('the filter in the address', () => visit.params().get('location') === id);
    const column = async (i) => page.locator(`.explore-rows tbody tr td:nth-child(${i})`).allTextContents();
    await visit.until('rows of the location alone', async () => {
      const ids = await column(3);
      return ids.length > 0 && ids.every((text) => text === id);
    });
    const [item] = await column(5);
    await page.getByRole('combobox', { name: 'Item', exact: true }).fill(item);
    await page.keyboard.press('Enter');
    await visit.until('rows of the item alone', async () => (await column(5)).every((text) => text === item) && visit.params().get('item') === item);
    await page.reload();
    await visit.until('the same after a reload', async () => (await column(5)).length > 0 && (await column(5)).every((text) => text === item));
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV' }).click()]);
    const [head, ...lines] = (await readFile(await file.path(), 'utf8')).trimEnd().split('\n');
    assert.equal(head, 'window_start,window_end,state,revision,geographical_location_oid,geographical_location,item_name,item_count,rank');
    assert.ok(lines.length > 0 && lines.every((line) => line.split(',')[4] === id));
  });

  suite.test('pages go forth and back', async (visit) => {
    const { page } = visit;
    const id = await busyLocation(visit);
    await visit.open('explore?pipeline=top_items&order=asc');
    const first = page.locator('.explore-rows tbody');
    await first.locator('tr').first().waitFor();
    const one = await first.textContent();
    const next = page.getByRole('button', { name: 'Next page' });
    if (await next.isDisabled()) assert.ok((await first.locator('tr').count()) < 100, `one page alone holds all, as of location ${id}`);
    else {
      await next.click();
      await visit.until('another page', async () => (await first.textContent()) !== one);
      await page.getByRole('button', { name: 'Page before' }).click();
      await visit.until('the first page again', async () => (await first.textContent()) === one);
    }
  });

  suite.test('filters that nothing fits say what to do', async (visit) => {
    await visit.open('explore?pipeline=top_items&item=no%20such%20item');
    await visit.page.getByText('No rows fit these filters').waitFor();
  });
}

function healthTests(suite) {
  suite.test('the accounts on the screen balance, and every pipeline, partition and sink is there', async (visit) => {
    const { page } = visit;
    await visit.open('health');
    await page.locator('.equation').waitFor();
    const terms = await page.locator('.equation .term').evaluateAll((all) => all.map((term) => [term.querySelector('small').textContent, term.querySelector('b').textContent]));
    const [[word, total], ...verdicts] = terms.map(([label, text]) => [label, number(text)]);
    assert.equal(word, 'in');
    assert.equal(verdicts.length, 8);
    assert.equal(verdicts.reduce((sum, [, n]) => sum + n, 0), total);
    await page.getByText('every event is accounted for').waitFor();
    const status = await visit.api('v1/status');
    assert.deepEqual(await page.locator('.pipelines tbody tr td:first-child').allTextContents(), status.pipelines.map((p) => p.name));
    await page.getByRole('button', { name: 'item_counts' }).click();
    const { partitions } = status.pipelines.find((p) => p.name === 'item_counts');
    await visit.until('every partition', async () => (await page.locator('.partitions tbody tr').count()) === partitions.length);
    assert.deepEqual(await page.locator('.sink-list li span:nth-child(2)').allTextContents(), status.sinks.map((s) => s.name));
    await visit.until('a history in the small charts', async () => (await page.locator('.tile .spark-line').count()) >= 5);
  });
}

function deadLetterTests(suite) {
  suite.test('dead letters of a reason are shown with their cause and original', async (visit) => {
    const { page } = visit;
    // A full page of them: one that is not grows between the screen's answer and ours.
    const reason = await visit.until('a page of dead letters', async () => {
      const { pipelines } = await visit.api('v1/status');
      const { verdicts } = pipelines.find((p) => p.name === 'item_counts');
      return ['malformed', 'invalid', 'late'].find((name) => verdicts[name] >= 20);
    }, 120_000);
    await visit.open('health');
    await page.locator('.dead').getByRole('button', { name: reason }).click();
    await visit.address('reason', reason);
    const { dead_letters: letters } = await visit.api(`v1/pipelines/item_counts/dead-letters?reason=${reason}&limit=20`);
    await visit.until('all of them', async () => (await page.locator('.letters tbody tr').count()) === letters.length);
    assert.ok(letters.length > 0);
    await page.getByRole('button', { name: 'Close dead letters' }).click();
    await visit.address('reason', null);
  });
}

function sqlTests(suite) {
  suite.test('a statement gives a table, a writing one an error with its reason', async (visit) => {
    const { page } = visit;
    await visit.open('sql');
    const text = page.getByLabel('Statement');
    await text.fill('SELECT item_name, item_count FROM top_items_overall LIMIT 3');
    await page.keyboard.press('Control+Enter');
    await page.locator('.sql-result table').waitFor();
    assert.ok((await page.locator('.sql-result thead th').allTextContents()).some((head) => head.startsWith('item_name')));
    await text.fill('DROP TABLE item_counts');
    await page.getByRole('button', { name: 'Run' }).click();
    await page.locator('.sql-result [role=alert]').waitFor();
    assert.ok((await page.locator('.sql-result .state-title').textContent()).length > 10);
  }, { allow: [/status of 4\d\d/] });
}

function accessTests(suite) {
  for (const colorScheme of ['dark', 'light']) {
    suite.test(`no accessibility violation in any view, ${colorScheme}`, async (visit) => {
      for (const view of VIEWS) {
        await visit.open(view);
        await visit.page.locator('.view .panel').first().waitFor();
        await visit.until('loading to be over', async () => (await visit.page.locator('.view .spinner').count()) === 0);
        await visit.page.evaluate(axe);
        const { violations } = await visit.page.evaluate(() => globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
        assert.deepEqual(violations.map((v) => `${view}: ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 140)} ${n.failureSummary ?? ''}`).join(' | ')}`), []);
      }
    }, { colorScheme, reducedMotion: 'reduce' });
  }

  suite.test('on a phone no view is wider than the screen', async (visit) => {
    for (const view of VIEWS) {
      await visit.open(view);
      await visit.page.locator('.view .panel').first().waitFor();
      const [content, screen] = await visit.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${view}: ${content} > ${screen}`);
    }
  }, { viewport: { width: 375, height: 812 }, isMobile: true, hasTouch: true });
}
