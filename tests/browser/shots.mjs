#!/usr/bin/env node
// Takes screenshots of every view of a running dashboard.
//   node shots.mjs --url http://127.0.0.1:8080/ --sign-in LINK --out DIR [--view live] [--theme dark] [--size 1440x900] [--wait 4000]
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { launch } from './browser.mjs';

const { values: o } = parseArgs({
  options: {
    url: { type: 'string' }, 'sign-in': { type: 'string' }, out: { type: 'string', default: '.' }, view: { type: 'string', multiple: true },
    theme: { type: 'string', multiple: true }, size: { type: 'string', default: '1440x900' }, wait: { type: 'string', default: '4000' }, prefix: { type: 'string', default: '' },
  },
});
const [width, height] = o.size.split('x').map(Number);
const views = o.view ?? ['live', 'location', 'explore', 'health', 'sql'];
mkdirSync(o.out, { recursive: true });
const browser = await launch();
for (const theme of o.theme ?? ['dark', 'light']) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme });
  const page = await context.newPage();
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.error(`${m.type()}: ${m.text()}`));
  page.on('pageerror', (e) => console.error(`page error: ${e.stack}`));
  if (o['sign-in']) await page.goto(o['sign-in']);
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
