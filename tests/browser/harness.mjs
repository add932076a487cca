// A small test runner: tests run one after the other, each with a page of its own, and each must leave no error in the console, no
// violation of the content security policy and no request to another origin.
import assert from 'node:assert/strict';

const WAIT_MS = 20_000;

export class Suite {
  constructor(name, browser, server) {
    this.name = name;
    this.browser = browser;
    this.server = server;    // { url, signIn() -> link or null, token }
    this.tests = [];
    this.passed = 0;
    this.failed = 0;
  }

  test(name, run, options = {}) {
    this.tests.push({ name, run, options });
  }

  async runAll(only) {
    for (const { name, run, options } of this.tests) {
      if (only && !name.includes(only)) continue;
      const began = Date.now();
      try {
        await this.runOne(run, options);
        this.passed += 1;
        console.log(`ok      ${this.name}: ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
      } catch (error) {
        this.failed += 1;
        console.log(`FAILED  ${this.name}: ${name}\n${String(error?.stack ?? error).replace(/^/gm, '        ')}`);
      }
    }
  }

  async runOne(run, { viewport = { width: 1440, height: 900 }, signedIn = true, allow = [], ...context }) {
    this.cookies ??= await this.signInOnce();
    const made = await this.browser.newContext({ viewport, colorScheme: 'dark', reducedMotion: 'no-preference', acceptDownloads: true, timezoneId: 'Asia/Singapore', ...context });
    if (signedIn) await made.addCookies(this.cookies);
    const page = await made.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const trouble = [];
    const origin = new URL(this.server.url).origin;
    page.on('pageerror', (error) => trouble.push(`page error: ${error.stack}`));
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !allow.some((pattern) => pattern.test(text))) trouble.push(`console: ${text}`);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'blob:' && url.origin !== origin) trouble.push(`request to another origin: ${request.url()}`);
    });
    try {
      await run(new Visit(page, this.server));
      assert.deepEqual(trouble, []);
    } finally {
      await made.close();
    }
  }

  // One sign-in for the suite: a link works once.
  async signInOnce() {
    const context = await this.browser.newContext();
    const page = await context.newPage();
    const link = await this.server.signIn();
    if (link) {
      await page.goto(link);
      await page.waitForURL(`${this.server.url}**`);
    } else {
      const answer = await page.request.post(`${this.server.url}v1/session`, { data: { token: this.server.token } });
      assert.equal(answer.status(), 200, 'signing in with the token');
    }
    const cookies = await context.cookies();
    await context.close();
    assert.ok(cookies.some((c) => c.name === 'sightline_session' && c.httpOnly && c.sameSite === 'Strict'), 'the session cookie is HttpOnly and SameSite=Strict');
    return cookies;
  }
}

// A page and the few things that tests do with it.
export class Visit {
  constructor(page, server) {
    this.page = page;
    this.server = server;
  }

  async open(hash) {
    await this.page.goto(`${this.server.url}#/${hash}`);
  }

  async live(hash = 'live') {
    await this.open(hash);
    await this.page.locator('.pill[data-state=ok]').waitFor();
    await this.page.locator('.top-panel .top-row').first().waitFor();
  }

  async api(path) {
    const answer = await this.page.request.get(`${this.server.url}${path}`);
    assert.equal(answer.status(), 200, `${path}: ${answer.status()} ${(await answer.text()).slice(0, 200)}`);
    return answer.json();
  }

  // Polls until `check` gives something true, which it returns.
  async until(what, check, ms = WAIT_MS) {
    const end = Date.now() + ms;
    let last;
    for (;;) {
      try {
        last = await check();
        if (last) return last;
      } catch (error) {
        last = error;
      }
      if (Date.now() > end) assert.fail(`waited ${ms / 1000} s for: ${what}${last ? ` (last: ${String(last?.message ?? last)})` : ''}`);
      await new Promise((resume) => setTimeout(resume, 100));
    }
  }

  params() {
    return new URLSearchParams(new URL(this.page.url()).hash.split('?')[1] ?? '');
  }

  // The browser tells of an address that changed within the page a moment after the click that changed it.
  async address(name, value) {
    await this.until(`${name}=${value ?? 'nothing'} in the address`, () => this.params().get(name) === value);
  }

  // The rows of a ranked list by its accessible name: [rank, name, count].
  async ranked(name) {
    const texts = await this.page.getByRole('list', { name, exact: true }).locator('.top-row').evaluateAll((rows) =>
      rows.map((row) => ['.top-rank', '.top-name', '.top-count'].map((part) => row.querySelector(part).textContent)));
    return texts.map(([rank, item, count]) => [Number(rank), item, number(count)]);
  }
}

export function number(text) {
  return Number(text.replaceAll(',', '').replace('−', '-'));
}
