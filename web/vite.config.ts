import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

// The licences of everything that is in the bundle, the font's with them, as one text beside it.
function licences(): Plugin {
  return {
    name: 'licences',
    generateBundle() {
      const folders = new Set<string>(['@fontsource-variable/ibm-plex-sans']);
      for (const id of this.getModuleIds()) {
        const found = /.*node_modules\/((?:@[^/]+\/)?[^/?]+)/.exec(id.replaceAll('\\', '/'));
        if (found) folders.add(found[1]!);
      }
      // A package may carry its own dependencies in one file: theirs count as well. A Set is walked to its end, even when it grows.
      for (const name of folders) {
        const { dependencies = {} } = JSON.parse(readFileSync(join(import.meta.dirname, 'node_modules', name, 'package.json'), 'utf8')) as { dependencies?: object };
        for (const more of Object.keys(dependencies)) folders.add(more);
      }
      const parts = [...folders].sort().map((name) => {
        const folder = join(import.meta.dirname, 'node_modules', name);
        const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string; license: string };
        const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.(md|txt))?$/i.test(entry));
        if (!file) this.error(`${name} comes without the text of its licence`);
        return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
      });
      this.emitFile({ type: 'asset', fileName: 'assets/licenses.txt', source: parts.join(`\n${'-'.repeat(80)}\n\n`) });
    },
  };
}

// The server embeds dist/ and serves it under a strict policy: no inline script or style, no data: URLs. So nothing is inlined.
export default defineConfig({
  base: '/',
  plugins: [licences()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    port: 5173,
    proxy: {
      '/v1': { target: process.env.SIGHTLINE_URL ?? 'http://127.0.0.1:8090', ws: true },
      '/sign-in': process.env.SIGHTLINE_URL ?? 'http://127.0.0.1:8090',
    },
  },
});
