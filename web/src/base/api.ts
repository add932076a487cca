// Requests to the server. An answer that is no success becomes an ApiError with the server's own words; 401 also tells the
// session that it has ended.
import { signal } from '@preact/signals';

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly requestId: string | null,
  ) {
    super(message);
  }
}

export type Session = { state: 'unknown' } | { state: 'signed_out' } | { state: 'signed_in'; principal: string };
export const session = signal<Session>({ state: 'unknown' });
// Sign-ins of this page. An answer to what was asked before the newest says nothing of the session that it began.
let signIns = 0;

function ended(askedAt: number): void {
  if (askedAt === signIns) session.value = { state: 'signed_out' };
}

async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get('x-request-id');
  try {
    const body = (await response.json()) as { error?: { kind?: string; message?: string; request_id?: string } };
    if (body.error?.message) return new ApiError(response.status, body.error.kind ?? 'unknown', body.error.message, body.error.request_id ?? requestId);
  } catch {
    // Not JSON: a proxy answered.
  }
  return new ApiError(response.status, 'unknown', `The server answered ${response.status} ${response.statusText}.`, requestId);
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const askedAt = signIns;
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, 'unreachable', 'The server cannot be reached. Check that sightline is running and that this machine is on its network.', null);
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== '/v1/session') ended(askedAt);
  throw await errorOf(response);
}

export async function getJson<T>(path: string, abort?: AbortSignal): Promise<T> {
  const response = await request(path, abort ? { signal: abort, headers: { accept: 'application/json' } } : { headers: { accept: 'application/json' } });
  return (await response.json()) as T;
}

export async function postJson<T>(path: string, body: unknown, abort?: AbortSignal): Promise<T> {
  const init: RequestInit = { method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json' }, body: JSON.stringify(body) };
  if (abort) init.signal = abort;
  const response = await request(path, init);
  return (await response.json()) as T;
}

// Asks who is signed in. Leaves the session as it was when the server cannot be reached.
export async function checkSession(): Promise<void> {
  const askedAt = signIns;
  try {
    const answer = await getJson<{ principal: string }>('/v1/session');
    session.value = { state: 'signed_in', principal: answer.principal };
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) ended(askedAt);
    else throw error;
  }
}

export async function signIn(token: string): Promise<void> {
  await postJson('/v1/session', { token });
  signIns += 1;
  await checkSession();
}

export async function signOut(): Promise<void> {
  await request('/v1/session', { method: 'DELETE' });
  session.value = { state: 'signed_out' };
}

export function query(params: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined && value !== '') search.append(name, String(value));
  return search.toString();
}
