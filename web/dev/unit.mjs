// Runs the unit tests (src/**/*.test.ts): bundles each for Node with the bundler that Vite brings, then hands them to `node --test`.
import { globSync as glob } from 'tinyglobby';
import { rolldown } from 'rolldown';
import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tmpdir } from 'node:os';
import { spawnSync } from 'node:child_process';

const web = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = mkdtempSync(join(tmpdir(), 'sightline-web-'));
try {
  const files = glob(['src/**/*.test.ts'], { cwd: web }).sort();
  const input = Object.fromEntries(files.map((file) => [file.replaceAll('/', '__').replace(/\.ts$/, ''), join(web, file)]));
  const bundle = await rolldown({ input, platform: 'node', cwd: web, external: /^node:/ });
  await bundle.write({ dir: out, format: 'esm', entryFileNames: '[name].mjs' });
  await bundle.close();
  const tests = Object.keys(input).map((name) => join(out, `${name}.mjs`));
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...tests], { stdio: 'inherit', env: { ...process.env, TZ: 'Asia/Singapore' } });
  process.exitCode = status ?? 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}
