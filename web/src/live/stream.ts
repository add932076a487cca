// One WebSocket to a live view that is kept open: reconnects with growing, jittered pauses, resumes from the last token, and notices
// a connection that has gone silent. Everything it needs of the outside comes in through `Surroundings`, so that tests can drive it.
import type { LiveMessage } from './protocol';

export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  close(): void;
}

export interface Surroundings {
  connect(path: string): Socket;
  now(): number;
  later(ms: number, run: () => void): () => void;  // returns what cancels it
  random(): number;
  signedIn(): Promise<boolean>;                    // false only when the server says so
}

export type StreamState =
  | { state: 'connecting'; attempt: number }
  | { state: 'live' }
  | { state: 'waiting'; attempt: number; until: number }
  | { state: 'signed_out' }
  | { state: 'stopped' };

export interface StreamEvents {
  message(message: Exclude<LiveMessage, { type: 'ping' }>): void;
  state(state: StreamState): void;
}

const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 15_000;
const SILENCE_MAX_MS = 40_000;  // the server pings every 15 s

export class LiveStream {
  private socket: Socket | null = null;
  private token: string | null = null;
  private attempt = 0;
  private cancelTimer: (() => void) | null = null;
  private cancelWatch: (() => void) | null = null;
  private stopped = true;

  constructor(
    private readonly path: string,  // with its query, without `resume`
    private readonly around: Surroundings,
    private readonly events: StreamEvents,
  ) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.attempt = 0;
    this.open();
  }

  stop(): void {
    this.stopped = true;
    this.drop();
    this.events.state({ state: 'stopped' });
  }

  // Ends a pause at once: the reader pressed "reconnect", or the machine is back on its network.
  retryNow(): void {
    if (this.stopped || this.socket) return;
    this.cancelTimer?.();
    this.open();
  }

  private open(): void {
    this.drop();
    this.events.state({ state: 'connecting', attempt: this.attempt });
    const path = this.token === null ? this.path : `${this.path}${this.path.includes('?') ? '&' : '?'}resume=${encodeURIComponent(this.token)}`;
    const socket = this.around.connect(path);
    this.socket = socket;
    socket.onopen = () => this.watch();
    socket.onmessage = (event: never) => {
      if (this.socket !== socket) return;
      this.watch();
      this.receive((event as { data: unknown }).data);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      void this.closed();
    };
    this.watch();
  }

  private receive(data: unknown): void {
    let message: LiveMessage;
    try {
      message = JSON.parse(String(data)) as LiveMessage;
    } catch {
      this.socket?.close();  // not our server's words: start anew
      return;
    }
    if (message.type === 'ping') return;
    this.token = message.token ?? this.token;
    this.events.message(message);
    if (message.type !== 'change') {
      this.attempt = 0;
      this.events.state({ state: 'live' });
    }
  }

  private async closed(): Promise<void> {
    this.cancelWatch?.();
    this.cancelWatch = null;
    if (this.stopped) return;
    this.attempt += 1;
    const pause = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** (this.attempt - 1)) * (0.75 + 0.5 * this.around.random());
    this.events.state({ state: 'waiting', attempt: this.attempt, until: this.around.now() + pause });
    const attempt = this.attempt;
    this.cancelTimer = this.around.later(pause, () => this.open());
    const signedIn = await this.around.signedIn();
    if (signedIn || this.stopped || this.attempt !== attempt || this.socket) return;
    this.stopped = true;
    this.drop();
    this.events.state({ state: 'signed_out' });
  }

  private watch(): void {
    this.cancelWatch?.();
    this.cancelWatch = this.around.later(SILENCE_MAX_MS, () => this.socket?.close());
  }

  private drop(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    this.cancelWatch?.();
    this.cancelWatch = null;
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}

// The surroundings in a page or in a worker.
export function browserSurroundings(): Surroundings {
  return {
    connect: (path) => {
      const url = new URL(path, self.location.origin);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return new WebSocket(url) as unknown as Socket;
    },
    now: () => Date.now(),
    later: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    signedIn: async () => {
      try {
        return (await fetch('/v1/session', { credentials: 'same-origin' })).status !== 401;
      } catch {
        return true;  // unreachable is not signed out
      }
    },
  };
}
