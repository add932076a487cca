// Chromium for tests and screenshots: the system's, headless, with everything off that would reach for the network.
import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.SIGHTLINE_CHROMIUM ?? '/usr/bin/chromium';

const OPTIONS = {
  executablePath: EXECUTABLE,
  headless: true,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
    '--disable-dev-shm-usage', // a container's /dev/shm is often 64 MiB
  ],
};
const TRIES = 3;

// Chromium now and then dies while it starts on a machine that is busy. That says nothing about the dashboard, so it is tried again, and said.
export async function launch() {
  for (let tried = 1; ; ++tried) {
    try {
      return await chromium.launch(OPTIONS);
    } catch (error) {
      if (tried === TRIES) throw error;
      console.log(`chromium did not start, try ${tried} of ${TRIES}: ${error?.message ?? error}`);
    }
  }
}
