// harness.mjs: starts `bitnet serve` on a free port and talks to it: raw sockets for what no client
// library would send, and websockets. The executable is BITNET_BIN, or build/native/bitnet.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';

export const bin =
  process.env.BITNET_BIN ?? fileURLToPath(new URL('../../../build/native/bitnet', import.meta.url));
/** For test options: false, or why these tests cannot run. */
export const skip = existsSync(bin) ? false : `there is no executable at ${bin}; build it or set BITNET_BIN`;

/** Time for something local that should be immediate; sanitizer builds on a busy machine included. */
export const SOON_MS = 5000;

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Rejects when `promise` takes longer than `ms`. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Polls until `check` returns something true, and returns that. */
export async function until(what, check, ms = SOON_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await check();
    if (got) return got;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(20);
  }
}

/** Runs `bitnet serve` with `args` and waits for its line. `t` is the test, which stops it. */
export async function serve(t, args = [], options = {}) {
  const child = spawn(options.bin ?? bin, ['serve', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { BITNET_HISTORY: 'off', ...process.env, ...options.env },
  });
  const server = { child, stdout: '', stderr: '' };
  child.stderr.on('data', (d) => (server.stderr += d));
  child.stdout.on('data', (d) => (server.stdout += d));
  server.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  t.after(async () => {
    child.kill('SIGKILL');
    await server.exited;
  });
  await until('the address on stdout', () => server.stdout.includes('\n') || child.exitCode !== null);
  if (!server.stdout.includes('\n')) throw new Error(`bitnet serve did not start: ${server.stderr}`);
  server.url = server.stdout.split('\n')[0];
  const { hostname, port } = new URL(server.url);
  server.host = hostname.replace(/^\[|\]$/g, '');
  server.port = Number(port);
  server.authority = new URL(server.url).host;
  return server;
}

/**
 * Sends `bytes` as they are and returns everything the server says until it closes.
 * `hold` leaves our side open; `{H}` stands for the right Host line.
 */
export function raw(server, bytes, { hold = true, timeoutMs = SOON_MS } = {}) {
  const text = typeof bytes === 'string' ? bytes.replaceAll('{H}', `Host: ${server.authority}\r\n`) : bytes;
  return within(
    timeoutMs,
    'the end of the answer',
    new Promise((resolve, reject) => {
      const chunks = [];
      const s = net.connect({ port: server.port, host: server.host, allowHalfOpen: true }, () => {
        if (hold) s.write(text, 'latin1');
        else s.end(text, 'latin1');
      });
      s.on('data', (d) => chunks.push(d));
      s.on('end', () => {
        s.end();
        resolve(parse(Buffer.concat(chunks)));
      });
      s.on('error', reject);
    }),
  );
}

/** Splits one HTTP response. Header names in lower case. */
export function parse(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return { status: 0, headers: {}, body: bytes };
  const [first, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(' ')[1]), headers, body: bytes.subarray(end + 4) };
}

export function get(server, path, headers = {}, method = 'GET') {
  const lines = Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`);
  return raw(server, `${method} ${path} HTTP/1.1\r\n{H}${lines.join('')}\r\n`);
}

/** A websocket that keeps what it hears: `messages` parsed, `closed` a promise of {code, reason}. */
export async function join(t, server, options = {}) {
  const ws = new WebSocket(`ws://${server.authority}/tracker`, options.protocol ?? 'bitnet-tracker.v1', {
    perMessageDeflate: false,
    ...options,
  });
  const peer = { ws, messages: [], send: (m) => ws.send(typeof m === 'string' ? m : JSON.stringify(m)) };
  ws.on('message', (d) => peer.messages.push(JSON.parse(d)));
  peer.closed = new Promise((resolve) => ws.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
  t.after(() => ws.terminate());
  await within(SOON_MS, 'the websocket', new Promise((resolve, reject) => {
    ws.on('open', resolve);
    ws.on('error', reject);
  }));
  /** The first message that `test` accepts, now or soon. */
  peer.heard = (what, test, ms) => until(what, () => peer.messages.find(test), ms);
  return peer;
}

let epoch = 0; // of hellos: each connection is newer than all before it

/** The messages of docs/protocol.md. */
export function hello(overrides = {}) {
  return {
    type: 'hello', proto: 1, role: 'producer', name: 'cli', instance: '9f86d081884c7d65', epoch: ++epoch, next_seq: 1,
    backend: 'cpu', tier: 'avx512vnni', threads: 2, model: 'bitnet-tales', host: 'AMD EPYC 9B14, 2 CPUs',
    build: '0.1.0 19cf141', t_ms: 1795000000000, started_ms: 1795000000000, expected: { decode_rate: 212 },
    metrics: [
      { name: 'time_per_output_token', unit: 's', kind: 'hist', min: 0, help: 'one decode step' },
      { name: 'memory', unit: 'By', kind: 'gauge', min: 0, help: 'resident memory' },
      { name: 'kernel_time', unit: 's', kind: 'counter', min: 0, help: 'time in a kernel' },
    ],
    ...overrides,
  };
}

export function window(seq, overrides = {}) {
  return {
    type: 'window', seq, t_ms: 1795000001200 + 100 * seq, span_ms: 100, dropped: 0,
    m: {
      time_per_output_token: { n: 9, sum: 0.0081, min: 0.0008, max: 0.0011, last: 0.0009, b: [314, 3, 317, 5, 322, 1] },
      memory: { n: 1, sum: 18350080, min: 18350080, max: 18350080, last: 18350080 },
    },
    ...overrides,
  };
}

export function op(seq, overrides = {}) {
  return {
    type: 'op', seq, t_ms: 1795000001300, id: 7, parent: 0, op: 'generate', strategy: 'avx512vnni', duration_s: 1.25,
    ok: true, units: 128, unit: 'token', quality: 0.81, peak_memory: 18350080, peak_gpu_memory: 1024, cpu: 1.9, gpu: 0.3,
    meta: { input_size: 720, output_size: 1440, factor: 2, note: 'text' },
    ...overrides,
  };
}

export async function producer(t, server, overrides) {
  const peer = await join(t, server);
  peer.send(hello(overrides));
  return peer;
}

export async function viewer(t, server) {
  const peer = await join(t, server);
  peer.send({ type: 'hello', proto: 1, role: 'viewer' });
  await peer.heard('welcome', (m) => m.type === 'welcome');
  return peer;
}

/** A hello's metrics and a window's values that make a message of 14 KiB. */
export function large() {
  const metrics = Array.from({ length: 64 }, (_, i) => ({ name: `${'m'.repeat(60)}${i}`, unit: '', kind: 'gauge', help: '' }));
  const x = 0.123456789012345;
  const m = Object.fromEntries(metrics.map(({ name }) => [name, { n: 1, sum: x, min: x, max: x, last: x }]));
  return { metrics, m };
}

/** [make(0), make(1) ... make(n - 1)], 32 at a time: the door lets 64 of one address wait. */
export async function together(n, make) {
  const all = [];
  for (let at = 0; at < n; at += 32) {
    all.push(...(await Promise.all(Array.from({ length: Math.min(32, n - at) }, (_, i) => make(at + i)))));
  }
  return all;
}

/** A viewer as a bare socket, which can stop reading. */
export async function rawViewer(t, server) {
  const s = net.connect(server.port, server.host);
  t.after(() => s.destroy());
  s.on('error', () => {});
  s.write(`GET /tracker HTTP/1.1\r\nHost: ${server.authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bitnet-tracker.v1\r\n\r\n');
  const chunks = [];
  s.on('data', (d) => chunks.push(d));
  await until('101', () => Buffer.concat(chunks).includes('\r\n\r\n'));
  const text = Buffer.from('{"type":"hello","proto":1,"role":"viewer"}');
  s.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text])); // mask 0
  await until('welcome', () => Buffer.concat(chunks).includes('welcome'));
  /** The text frames so far. */
  const messages = () => {
    const all = Buffer.concat(chunks);
    const out = [];
    for (let at = all.indexOf('\r\n\r\n') + 4; at + 2 <= all.length;) {
      let n = all[at + 1] & 0x7f, head = 2;
      if (n === 126) { n = all.readUInt16BE(at + 2); head = 4; }
      if (at + head + n > all.length) break;
      if ((all[at] & 0x0f) === 1) out.push(JSON.parse(all.subarray(at + head, at + head + n)));
      at += head + n;
    }
    return out;
  };
  return { s, messages };
}
