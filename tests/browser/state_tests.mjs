// The states that a healthy program does not show: run against the mock, which can be told to break.
import assert from 'node:assert/strict';

async function order(visit, what) {
  const answer = await visit.page.request.post(`${visit.server.url}mock`, { data: what });
  assert.equal(answer.status(), 200);
  return answer.json();
}

const BROKEN = [/status of (401|503)/, /WebSocket connection/, /ERR_/, /EventSource/];

export function stateTests(suite) {
  suite.test('a cut connection resumes from its token, without a reload', async (visit) => {
    const { page } = visit;
    await visit.live();
    const { resumes } = await order(visit, { cut: true });
    await page.locator('.pill[data-state=warn]').waitFor();
    await page.locator('.pill[data-state=ok]').waitFor();
    await visit.until('both live views to have resumed', async () => (await order(visit, {})).resumes >= resumes + 2);
    const before = await visit.ranked('Top items over all locations');
    await visit.until('counts to move again', async () => JSON.stringify(await visit.ranked('Top items over all locations')) !== JSON.stringify(before));
  }, { allow: BROKEN });

  suite.test('while the server is away: reconnecting with a count-down, old figures dimmed, back by itself', async (visit) => {
    const { page } = visit;
    await visit.live();
    await order(visit, { down: true });
    try {
      await page.locator('.pill', { hasText: /Reconnecting/ }).waitFor();
      await page.locator('.live.is-stale').waitFor();
      assert.ok((await visit.ranked('Top items over all locations')).length > 0, 'the last known figures stay');
    } finally {
      await order(visit, { down: false });
    }
    await page.locator('.pill[data-state=ok]').waitFor({ timeout: 40_000 });
    assert.equal(await page.locator('.live.is-stale').count(), 0);
  }, { allow: BROKEN });

  suite.test('a server that is away at first is waited for', async (visit) => {
    const { page } = visit;
    await page.route('**/v1/session', (route) => route.abort('connectionrefused'));
    await visit.open('live');
    await page.getByRole('alert').filter({ hasText: 'cannot be reached' }).waitFor();
    await page.unroute('**/v1/session');
    await page.locator('.pill[data-state=ok]').waitFor();
  }, { allow: BROKEN });

  suite.test('a session that ends asks to sign in, and goes on where it was', async (visit) => {
    const { page } = visit;
    await visit.live('live?location=7');
    await order(visit, { signed_out: true });
    suite.cookies = null;   // those of the suite are gone as well
    await page.getByRole('heading', { name: 'Sign in to sightline' }).waitFor();
    await page.getByLabel('Token').fill(visit.server.token);
    await page.keyboard.press('Enter');
    await page.locator('.pill[data-state=ok]').waitFor();
    assert.equal(visit.params().get('location'), '7');
    await visit.until('the list of the location', async () => (await page.locator('.top-panel .top-row').count()) > 10);
  }, { allow: BROKEN });

  suite.test('an answer from before a sign-in that comes after it does not end the session', async (visit) => {
    const { page } = visit;
    await visit.live();
    let release;
    const released = new Promise((resume) => { release = resume; });
    const late = [];
    await page.route('**/v1/session', async (route) => {
      const answer = await route.fetch();
      const fulfill = () => route.fulfill({ response: answer });
      if (answer.status() !== 401) return fulfill();
      late.push(released.then(fulfill));
      return undefined;
    });
    await order(visit, { signed_out: true });
    suite.cookies = null;
    await visit.until('a question on its way', () => late.length > 0);
    await visit.open('explore');  // whose own request is refused
    await page.getByLabel('Token').fill(visit.server.token);
    await page.keyboard.press('Enter');
    await page.locator('.explore-rows tbody tr').first().waitFor();
    release();
    await Promise.all(late);
    await page.evaluate(() => fetch('/v1/session').then((answer) => answer.text()));
    assert.equal(await page.getByRole('heading', { name: 'Sign in to sightline' }).count(), 0);
  }, { allow: BROKEN });

  suite.test('a failed pipeline is named with its reason on Health and on the board', async (visit) => {
    const { page } = visit;
    await order(visit, { failed: 'disk is full at segment 7' });
    try {
      await visit.open('health');
      await page.locator('.alarms').filter({ hasText: 'top_items has failed: disk is full at segment 7' }).waitFor();
      await visit.open('live');
      await page.locator('.vital.tone-bad').filter({ hasText: 'top_items failed' }).waitFor();
    } finally {
      await order(visit, { failed: null });
    }
  });

  suite.test('an answer that fails can be asked for again', async (visit) => {
    const { page } = visit;
    await page.route('**/results?*', (route) => route.fulfill({ status: 503, contentType: 'application/json', body: '{"error":{"kind":"unavailable","message":"the store is being opened","request_id":"r-17"}}' }));
    await visit.open('explore');
    await page.getByText('the store is being opened').waitFor();
    await page.getByText('r-17').waitFor();
    await page.unroute('**/results?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.locator('.explore-rows tbody tr').first().waitFor();
  }, { allow: BROKEN });

  suite.test('times are in the reader\'s zone, with UTC on hover', async (visit) => {
    const { page } = visit;
    await visit.open('explore');
    const time = page.locator('.explore-rows time').first();
    await time.waitFor();
    const [shown, iso, title] = await time.evaluate((t) => [t.textContent, t.dateTime, t.title]);
    const singapore = new Date(new Date(iso).getTime() + 8 * 3_600_000).toISOString().slice(11, 16);
    assert.ok(shown.endsWith(singapore), `${shown} for ${iso}`);
    assert.ok(title.includes('UTC') && title.includes(iso.slice(11, 16)));
  });

  suite.test('a thousand locations changing five times a second leave the page idle most of the time', async (visit) => {
    await visit.live();
    const client = await visit.page.context().newCDPSession(visit.page);
    await client.send('Performance.enable', { timeDomain: 'threadTicks' });
    const busy = async () => (await client.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value;
    const [began, before] = [Date.now(), await busy()];
    const frames = await visit.page.evaluate(() => new Promise((done) => {
      let count = 0;
      const end = performance.now() + 8000;
      const tick = (now) => { count += 1; now < end ? requestAnimationFrame(tick) : done(count); };
      requestAnimationFrame(tick);
    }));
    const share = (await busy() - before) / ((Date.now() - began) / 1000);
    console.log(`        main thread busy ${(100 * share).toFixed(0)} %, ${(frames / 8).toFixed(0)} frames a second, without a GPU`);
    assert.ok(share < 0.6, `main thread busy ${(100 * share).toFixed(0)} %`);
  });
}

// Last of its server: it changes the names.
export function restartTests(suite) {
  suite.test('after a restart with a newer reference the board shows the new names, without a reload', async (visit) => {
    const { page } = visit;
    await visit.live('live?location=0');
    await page.evaluate(() => { globalThis.sameDocument = true; });
    await visit.until('two readings of the status', async () => (await page.locator('.vital .spark-line').count()) > 0);
    await order(visit, { restarted: true });
    await page.getByRole('heading', { name: /Gate 01$/ }).waitFor();
    await page.getByText('locations v2').waitFor();
    await visit.until('the list of the location', async () => (await visit.ranked('Top items at Bedok · Gate 01')).length > 0);
    assert.equal(await page.evaluate(() => globalThis.sameDocument), true);
  });
}

export function emptyTests(suite) {
  suite.test('without any event the board says what to do', async (visit) => {
    await visit.open('live');
    await visit.page.getByText('Nothing seen yet').waitFor();
    await visit.page.getByText('sightline simulate').waitFor();
    await visit.open('explore');
    await visit.page.getByText('No rows fit these filters').waitFor();
    await visit.open('location?location=3');
    await visit.page.getByText('Nothing was counted here in this time').waitFor();
    await visit.open('health');
    await visit.page.getByText('every event is accounted for').waitFor();
  });
}

export function tileTests(suite) {
  suite.test('without coordinates there is a grid of tiles, with the same keys', async (visit) => {
    const { page } = visit;
    await visit.live('live?location=5');
    const map = page.locator('.map-canvas');
    assert.equal(await map.getAttribute('aria-roledescription'), 'grid of locations');
    await map.focus();
    await page.keyboard.press('ArrowRight');
    await visit.until('the next tile', () => visit.params().get('location') === '6');
    await page.keyboard.press('ArrowDown');
    await visit.until('the tile below', () => Number(visit.params().get('location')) > 20);
    await page.keyboard.press('Escape');
    await visit.until('the busiest again', () => visit.params().get('location') === null);
  });
}

export function strangeNameTests(suite) {
  suite.test('names are text, however long or strange, and burst no frame', async (visit) => {
    const { page } = visit;
    await visit.live();
    const [[, first]] = await visit.ranked('Top items over all locations');
    assert.ok(first.startsWith('<img src=x') && first.length > 4000);
    for (const view of ['live', 'live?colour=leader', 'location?location=0', 'explore', `explore?item=${encodeURIComponent('__proto__')}`]) {
      await visit.open(view);
      await page.locator('.view .panel').first().waitFor();
      await visit.until('loading to be over', async () => (await page.locator('.view .spinner').count()) === 0);
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${view}: ${content} > ${screen}`);
    }
    await page.locator('.explore-rows td', { hasText: '__proto__' }).first().waitFor();
    assert.equal(await page.evaluate(() => globalThis.struck), undefined);
    await visit.live(`live?item=${encodeURIComponent(first)}`);
    const box = await page.locator('.map-bar').boundingBox();
    assert.ok(box.height < 100, `the map's bar is ${box.height} px high`);
  });
}
