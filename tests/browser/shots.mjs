#!/usr/bin/env node
// Takes screenshots of every view of a running dashboard.
//   node shots.mjs --url http://127.0.0.1:8080/ --sign-in LINK|--token TOKEN --out DIR [--view live] [--theme dark] [--size 1440x900] [--wait 4000]
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { launch } from './browser.mjs';

const { values: o } = parseArgs({
  options: {
    url: { type: 'string' }, 'sign-in': { type: 'string' }, token: { type: 'string' }, out: { type: 'string', default: '.' }, view: { type: 'string', multiple: true },
    theme: { type: 'string', multiple: true }, size: { type: 'string', default: '1440x900' }, wait: { type: 'string', default: '4000' }, prefix: { type: 'string', default: '' },
  },
});
const [width, height] = o.size.split('x').map(Number);
const views = o.view ?? ['live', 'location', 'explore', 'health', 'sql'];
mkdirSync(o.out, { recursive: true });
const browser = await launch();
// A link works once: its cookie serves every context. A token does it without a link.
const door = await browser.newContext();
if (o['sign-in']) await (await door.newPage()).goto(o['sign-in']);
if (o.token) await door.request.post(new URL('v1/session', o.url).href, { data: { token: o.token } });
const storageState = await door.storageState();
await door.close();
for (const theme of o.theme ?? ['dark', 'light']) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, storageState, isMobile: width < 600, hasTouch: width < 600 });
  const page = await context.newPage();
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.error(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => console.error(`page error: ${e.stack}`));
  for (const view of views) {
    await page.goto(`${o.url}#/${view}`);
    await page.waitForTimeout(Number(o.wait));
    const name = `${o.prefix}${view.replace(/\W+/g, '-')}-${theme}.png`;
    await page.screenshot({ path: `${o.out}/${name}` });
    console.log(name);
  }
  await context.close();
}
await browser.close();
