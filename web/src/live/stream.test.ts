import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveStream, type Socket, type StreamState, type Surroundings } from './stream';

class FakeSocket implements Socket {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  closed = false;
  constructor(readonly path: string) {}
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.onclose?.({} as never);
  }
  say(message: unknown): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as never);
  }
}

function world(signedIn = true) {
  const sockets: FakeSocket[] = [];
  const timers: { at: number; run: () => void }[] = [];
  const states: StreamState[] = [];
  const messages: unknown[] = [];
  const clock = { now: 0 };
  const around: Surroundings = {
    connect: (path) => {
      const socket = new FakeSocket(path);
      sockets.push(socket);
      return socket;
    },
    now: () => clock.now,
    later: (ms, run) => {
      const timer = { at: clock.now + ms, run };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
    },
    random: () => 0.5,
    signedIn: async () => signedIn,
  };
  const stream = new LiveStream('/live?rate=5', around, { message: (m) => messages.push(m), state: (s) => states.push(s) });
  const pass = async (ms: number) => {
    const end = clock.now + ms;
    for (;;) {
      await Promise.resolve();
      const due = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      timers.splice(timers.indexOf(due), 1);
      clock.now = Math.max(clock.now, due.at);
      due.run();
    }
    clock.now = end;
    for (let i = 0; i < 5; ++i) await Promise.resolve();
  };
  return { stream, sockets, states, messages, pass, last: () => states.at(-1)! };
}

const snapshot = (token: string) => ({ type: 'snapshot', token, groups: [] });

test('is live with the first snapshot, not with the open socket', () => {
  const { stream, sockets, last, messages } = world();
  stream.start();
  sockets[0]!.onopen?.({} as never);
  assert.equal(last().state, 'connecting');
  sockets[0]!.say(snapshot('a'));
  assert.equal(last().state, 'live');
  assert.equal(messages.length, 1);
});

test('resumes with the newest token, after pauses that grow to a limit', async () => {
  const { stream, sockets, pass, last } = world();
  stream.start();
  sockets[0]!.say(snapshot('a'));
  sockets[0]!.say({ type: 'change', token: 'b/c', groups: [] });
  const pauses: number[] = [];
  sockets[0]!.close();
  for (let i = 0; i < 8; ++i) {
    const waiting = last();
    assert.equal(waiting.state, 'waiting');
    if (waiting.state !== 'waiting') return;
    const before = sockets.length;
    let waited = 0;
    while (sockets.length === before) {
      await pass(250);
      waited += 250;
    }
    pauses.push(waited);
    sockets.at(-1)!.close();
  }
  assert.equal(sockets[1]!.path, '/live?rate=5&resume=b%2Fc');
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  stream.stop();
});

test('a success sets the pauses back', async () => {
  const { stream, sockets, pass, last } = world();
  stream.start();
  sockets[0]!.close();
  await pass(500);
  sockets[1]!.close();
  await pass(1000);
  sockets[2]!.say({ type: 'resumed', token: 'x', groups: [] });
  assert.equal(last().state, 'live');
  sockets[2]!.close();
  const waiting = last();
  assert.equal(waiting.state === 'waiting' && waiting.attempt, 1);
});

test('a silent connection is given up, a ping keeps it', async () => {
  const { stream, sockets, pass } = world();
  stream.start();
  sockets[0]!.say(snapshot('a'));
  await pass(39_000);
  sockets[0]!.say({ type: 'ping' });
  await pass(39_000);
  assert.equal(sockets.length, 1);
  await pass(2000);
  assert.equal(sockets[0]!.closed, true);
  assert.equal(sockets.length, 2);
});

test('stops for good when the server says the session is over', async () => {
  const { stream, sockets, pass, last } = world(false);
  stream.start();
  sockets[0]!.close();
  await pass(60_000);
  assert.equal(last().state, 'signed_out');
  assert.equal(sockets.length, 1);
});

test('retryNow ends a pause, and does nothing while connected or stopped', async () => {
  const { stream, sockets, pass } = world();
  stream.start();
  stream.retryNow();
  assert.equal(sockets.length, 1);
  sockets[0]!.close();
  stream.retryNow();
  assert.equal(sockets.length, 2);
  await pass(5000);
  assert.equal(sockets.length, 2);
  stream.stop();
  stream.retryNow();
  await pass(60_000);
  assert.equal(sockets.length, 2);
});

test('what is no JSON ends the connection instead of the page', async () => {
  const { stream, sockets, pass, messages } = world();
  stream.start();
  sockets[0]!.say('<html>a proxy speaks</html>');
  await pass(600);
  assert.equal(sockets.length, 2);
  assert.equal(messages.length, 0);
});
