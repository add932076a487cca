#!/usr/bin/env node
// A development server that answers the dashboard's part of the HTTP API with simulated data. It is no part of the product:
// it lets the dashboard be worked on, and its rarer states be tested, without the program.
//
//   node dev/mock.mjs [--port 8090] [--events-per-s 5000] [--locations 1000] [--window-ms 60000] [--no-auth] [--no-coordinates]
//                     [--empty] [--strange-names] [--seed 7] [--locations-file FILE]
//
// POST /mock {"cut": true} closes all live connections, {"down": true|false} answers 503 to everything, {"failed": "reason"}
// marks a pipeline as failed, {"signed_out": true} forgets all sessions, {"restarted": true} looks like a restart with a newer reference.
import { createServer } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { dirname, join, extname, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { randomBytes } from 'node:crypto';
import { WebSocketServer } from 'ws';
import { Simulation } from './simulation.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8090' },
    'events-per-s': { type: 'string', default: '5000' },
    locations: { type: 'string', default: '1000' },
    'window-ms': { type: 'string', default: '60000' },
    seed: { type: 'string', default: '7' },
    'locations-file': { type: 'string', default: join(here, '../../presets/top-items/references/locations.csv') },
    'no-auth': { type: 'boolean', default: false },
    'no-coordinates': { type: 'boolean', default: false },
    'strange-names': { type: 'boolean', default: false },
    empty: { type: 'boolean', default: false },
  },
});

const TOKEN = 'mock-token';
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; worker-src 'self'; " +
  "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const simulation = new Simulation({
  locationsFile: options['locations-file'],
  locations: Number(options.locations),
  eventsPerSecond: options.empty ? 0 : Number(options['events-per-s']),
  windowMs: Number(options['window-ms']),
  coordinates: !options['no-coordinates'],
  empty: options.empty,
  strangeNames: options['strange-names'],
  seed: Number(options.seed),
});

const faults = { down: false };
const sessions = new Set();
const codes = new Set(['mock-code']);

function json(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  response.end(JSON.stringify(body));
}

function fail(response, status, kind, message) {
  json(response, status, { error: { kind, message, request_id: randomBytes(4).toString('hex') } });
}

function sessionOf(request) {
  const cookie = /(?:^|;\s*)sightline_session=([^;]+)/.exec(request.headers.cookie ?? '');
  return cookie && sessions.has(cookie[1]) ? cookie[1] : null;
}

function authorised(request) {
  return options['no-auth'] || sessionOf(request) !== null || request.headers.authorization === `Bearer ${TOKEN}`;
}

function newSession() {
  const id = randomBytes(8).toString('hex');
  sessions.add(id);
  return { 'set-cookie': `sightline_session=${id}; HttpOnly; SameSite=Strict; Path=/` };
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

const TYPES = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2', '.png': 'image/png', '.webmanifest': 'application/manifest+json', '.txt': 'text/plain', '.md': 'text/plain',
};

function serveFile(path, response) {
  const file = join(here, '../dist', path === '/' ? 'index.html' : normalize(path));
  if (!existsSync(file)) return fail(response, 404, 'not_found', `nothing at ${path}`);
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': CSP,
    'x-content-type-options': 'nosniff',
  });
  response.end(readFileSync(file));
}

function csv(rows, columns) {
  const cell = (value) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.join(','), ...rows.map((row) => columns.map((c) => cell(row[c])).join(','))].join('\n') + '\n';
}

function results(pipeline, query, request, response) {
  const answer = simulation.results(pipeline, query);
  if (!answer) return fail(response, 404, 'not_found', `no pipeline is called "${pipeline}"`);
  if (query.get('format') === 'csv' || request.headers.accept === 'text/csv') {
    response.writeHead(200, { 'content-type': 'text/csv; charset=utf-8' });
    return response.end(csv(answer.rows, ['window_start', 'window_end', ...simulation.columnsOf(pipeline)]));
  }
  return json(response, 200, answer);
}

function statusStream(request, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = () => response.write(`event: status\ndata: ${JSON.stringify(simulation.status(clients.size))}\n\n`);
  send();
  const timer = setInterval(send, 1000);
  streams.add(response);
  request.on('close', () => { clearInterval(timer); streams.delete(response); });
}

async function sql(request, response) {
  const { sql: text = '' } = JSON.parse((await bodyOf(request)) || '{}');
  const answer = simulation.sql(text);
  if (answer.error) return fail(response, 400, 'invalid_argument', answer.error);
  return json(response, 200, answer);
}

async function session(request, response) {
  if (request.method === 'GET') {
    if (!authorised(request)) return fail(response, 401, 'unauthenticated', 'sign in first');
    return json(response, 200, { principal: 'admin', permissions: ['read', 'write', 'sql', 'admin'] });
  }
  if (request.method === 'DELETE') {
    sessions.delete(sessionOf(request));
    response.writeHead(204);
    return response.end();
  }
  const { token } = JSON.parse((await bodyOf(request)) || '{}');
  if (token !== TOKEN) return fail(response, 401, 'unauthenticated', 'that token is not known here');
  return json(response, 200, { principal: 'admin', permissions: ['read'] }, newSession());
}

async function control(request, response) {
  const order = JSON.parse((await bodyOf(request)) || '{}');
  if (order.cut) for (const client of clients) client.terminate();
  if (order.cut || order.down) for (const stream of streams) stream.destroy();
  if ('down' in order) faults.down = order.down;
  if (order.down) for (const client of clients) client.terminate();
  if (order.restarted) simulation.restart();
  if ('failed' in order) simulation.failed = order.failed;
  if (order.signed_out) { sessions.clear(); for (const client of clients) client.terminate(); for (const s of streams) s.destroy(); }
  return json(response, 200, { clients: clients.size, resumes });
}

async function api(request, response, path, query) {
  let match;
  if (path === '/v1/pipelines') return json(response, 200, { pipelines: simulation.pipelines() });
  if ((match = /^\/v1\/pipelines\/([^/]+)\/results$/.exec(path))) return results(decodeURIComponent(match[1]), query, request, response);
  if ((match = /^\/v1\/pipelines\/([^/]+)\/dead-letters$/.exec(path))) return json(response, 200, simulation.deadLetters(query));
  if (path === '/v1/top-items') return json(response, 200, simulation.topItems(query));
  if (path === '/v1/references') return json(response, 200, { references: simulation.references() });
  if (path === '/v1/references/locations') return json(response, 200, simulation.reference());
  if (path === '/v1/status') return json(response, 200, simulation.status(clients.size));
  if (path === '/v1/status/stream') return statusStream(request, response);
  if (path === '/v1/sql' && request.method === 'POST') return sql(request, response);
  return fail(response, 404, 'not_found', `nothing at ${path}`);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://mock');
  const path = url.pathname;
  response.setHeader('x-request-id', randomBytes(4).toString('hex'));
  try {
    if (path === '/mock') return await control(request, response);
    if (faults.down) return fail(response, 503, 'unavailable', 'the server is shutting down');
    if (path === '/sign-in') {
      const known = codes.has(url.searchParams.get('code'));
      response.writeHead(303, known ? { location: '/', ...newSession() } : { location: '/?sign-in=expired' });
      return response.end();
    }
    if (path === '/v1/session') return await session(request, response);
    if (!path.startsWith('/v1/')) return serveFile(path, response);
    if (!authorised(request)) return fail(response, 401, 'unauthenticated', 'sign in first');
    return await api(request, response, path, url.searchParams);
  } catch (error) {
    return fail(response, 500, 'internal', String(error?.message ?? error));
  }
});

let resumes = 0;   // connections that began with a token
const clients = new Set();
const streams = new Set();
const sockets = new WebSocketServer({ noServer: true });

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://mock');
  const match = /^\/v1\/pipelines\/([^/]+)\/live$/.exec(url.pathname);
  if (faults.down || !authorised(request) || !match) {
    socket.end(`HTTP/1.1 ${authorised(request) ? 503 : 401} x\r\nconnection: close\r\n\r\n`);
    return;
  }
  sockets.handleUpgrade(request, socket, head, (client) => watch(client, match[1], url.searchParams));
});

function watch(client, pipeline, query) {
  clients.add(client);
  const rate = Number(query.get('rate') ?? 5) || 5;
  const filter = query.getAll('geographical_location_oid');
  if (query.get('resume')) resumes += 1;
  const state = { seen: simulation.clock, resume: query.get('resume') };
  const first = simulation.live(pipeline, state.resume ? Number(state.resume) : 0, filter);
  client.send(JSON.stringify({ type: state.resume ? 'resumed' : 'snapshot', pipeline, token: String(simulation.clock), groups: first }));
  const timer = setInterval(() => {
    if (client.bufferedAmount > 4 << 20) return;
    const groups = simulation.live(pipeline, state.seen, filter);
    state.seen = simulation.clock;
    if (groups.length) client.send(JSON.stringify({ type: 'change', token: String(state.seen), groups }));
  }, 1000 / rate);
  const quiet = setInterval(() => client.send('{"type":"ping"}'), 15000);
  client.on('close', () => { clearInterval(timer); clearInterval(quiet); clients.delete(client); });
}

server.listen(Number(options.port), '127.0.0.1', () => {
  const { port } = server.address();
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}/`, sign_in: `http://127.0.0.1:${port}/sign-in?code=mock-code`, token: TOKEN }));
});
const tick = setInterval(() => simulation.step(Date.now()), 200);
const stop = () => { clearInterval(tick); process.exit(0); };
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
