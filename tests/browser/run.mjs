// Runs the browser tests; ./run calls it. Options:
//   --url URL --sign-in LINK | --token TOKEN   a running program with the preset top-items and events coming in (both: the link is used
//                                              to sign in, the token to try the form)
//   --mock DIR                                 a built web folder, whose mock server shows the states that a healthy program does not
//   --locations-file FILE                      the mock's locations
//   --only TEXT                                tests whose name holds it
// The last line is "N passed, N failed".
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { launch } from './browser.mjs';
import { commonTests } from './common_tests.mjs';
import { Suite } from './harness.mjs';
import { emptyTests, restartTests, stateTests, strangeNameTests, tileTests } from './state_tests.mjs';

const { values: options } = parseArgs({
  options: {
    mock: { type: 'string' }, 'locations-file': { type: 'string' }, url: { type: 'string' }, 'sign-in': { type: 'string' }, token: { type: 'string' }, only: { type: 'string' },
  },
});

let browser;
let passed = 0;
let failed = 0;

async function run(suite) {
  await suite.runAll(options.only);
  passed += suite.passed;
  failed += suite.failed;
}

async function withMock(name, flags, fill) {
  const file = options['locations-file'] ? ['--locations-file', options['locations-file']] : [];
  const child = spawn(process.execPath, [join(options.mock, 'dev/mock.mjs'), '--port', '0', ...file, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const { url, token } = JSON.parse(line);
    const suite = new Suite(name, browser, { url, token, signIn: async () => null });
    fill(suite);
    await run(suite);
  } finally {
    child.kill('SIGTERM');
  }
}

try {
  browser = await launch();
  if (options.url) {
    const url = options.url.endsWith('/') ? options.url : `${options.url}/`;
    const suite = new Suite('program', browser, { url, token: options.token ?? null, signIn: async () => options['sign-in'] ?? null });
    commonTests(suite);
    await run(suite);
  }
  if (options.mock) {
    // The program is the better server to test the views with; without one the mock stands in.
    await withMock('mock', [], (suite) => {
      if (!options.url) commonTests(suite);
      stateTests(suite);
      restartTests(suite);
    });
    await withMock('mock, empty', ['--empty'], emptyTests);
    await withMock('mock, strange names', ['--strange-names'], strangeNameTests);
    await withMock('mock, no coordinates', ['--no-coordinates'], tileTests);
  }
} catch (error) {
  failed += 1;
  console.log(`FAILED  ${error?.stack ?? error}`);
} finally {
  await browser?.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
