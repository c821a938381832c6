// What strangers send: refused with the right status before libwebsockets sees it, within deadlines and
// caps, and without costing the others anything. The full table of heads is tests/unit/test_http_head.c.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { get, raw, serve, skip, sleep, SOON_MS, until, within } from './harness.mjs';

const WS = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: bitnet-tracker.v1\r\n';

const cases = [
  ['h2c upgrade', 'GET / HTTP/1.1\r\n{H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n', 400],
  ['h2c upgrade at /tracker', 'GET /tracker HTTP/1.1\r\n{H}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n', 400],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', 505],
  ['TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['unknown upgrade', 'GET / HTTP/1.1\r\n{H}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n', 400],
  ['unknown upgrade at /tracker', 'GET /tracker HTTP/1.1\r\n{H}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n', 400],
  ['Content-Length and Transfer-Encoding', 'GET / HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['smuggled second request', 'GET / HTTP/1.1\r\n{H}\r\nGET /health/live HTTP/1.1\r\n{H}\r\n', 400],
  ['body on GET', 'GET / HTTP/1.1\r\n{H}Content-Length: 5\r\n\r\n', 413],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 421],
  ['rebinding Host', 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n', 421],
  ['right name, wrong port', 'GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n', 421],
  ['two Hosts', 'GET / HTTP/1.1\r\n{H}{H}\r\n', 400],
  ['POST', 'POST / HTTP/1.1\r\n{H}\r\n', 405],
  ['bare LF', 'GET / HTTP/1.1\n{H}\n', 400],
  ['NUL', 'GET / HTTP/1.1\r\n{H}X: \x00\r\n\r\n', 400],
  ['folded line', 'GET / HTTP/1.1\r\n{H}X: a\r\n b\r\n\r\n', 400],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n{H}\r\n', 505],
  ['5,000-byte path', `GET /${'a'.repeat(5000)} HTTP/1.1\r\n{H}\r\n`, 414],
  ['64 KiB header', `GET / HTTP/1.1\r\n{H}X: ${'a'.repeat(65536)}\r\n\r\n`, 431],
  ['1,000 header lines', `GET / HTTP/1.1\r\n{H}${'a: b\r\n'.repeat(1000)}\r\n`, 431],
  ['100,000 header lines', `GET / HTTP/1.1\r\n{H}${'a: b\r\n'.repeat(100000)}\r\n`, 431],
  ['websocket, foreign Origin', `GET /tracker HTTP/1.1\r\n{H}${WS}${KEY}Origin: http://evil.example\r\n\r\n`, 403],
  ['websocket, null Origin', `GET /tracker HTTP/1.1\r\n{H}${WS}${KEY}Origin: null\r\n\r\n`, 403],
  ['websocket elsewhere', `GET /other HTTP/1.1\r\n{H}${WS}${KEY}\r\n`, 404],
  ['/tracker without upgrade', 'GET /tracker HTTP/1.1\r\n{H}\r\n', 426],
  ['websocket, another subprotocol', `GET /tracker HTTP/1.1\r\n{H}${WS}${KEY.replace('bitnet', 'other')}\r\n`, 400],
];

test('hostile heads are refused, one sentence each', { skip }, async (t) => {
  const server = await serve(t);
  for (const [what, bytes, status] of cases) {
    await t.test(what, async () => {
      let answer;
      try {
        answer = await raw(server, bytes);
      } catch (e) {
        // A client that goes on sending after it was refused may be reset; the refusal is then lost.
        if (bytes.length > 60000 && e.code) return;
        throw e;
      }
      assert.equal(answer.status, status);
      assert.equal(answer.headers.connection?.startsWith('close'), true);
      assert.match(String(answer.body), /^[A-Z%'][^\n]+\.\n$/);
    });
  }
  assert.equal((await get(server, '/health/live')).status, 200);
  assert.equal(server.stderr.includes('libwebsockets'), false, server.stderr);
});

test('a 405 and a 426 say what is allowed', { skip }, async (t) => {
  const server = await serve(t);
  assert.equal((await get(server, '/', {}, 'DELETE')).headers.allow, 'GET, HEAD');
  assert.equal((await get(server, '/tracker')).headers['sec-websocket-version'], '13');
});

test('a websocket is opened from our own page and from native programs', { skip }, async (t) => {
  const server = await serve(t);
  for (const origin of ['', `Origin: http://${server.authority}\r\n`, `Origin: http://localhost:${server.port}\r\n`]) {
    const s = net.connect(server.port, server.host);
    s.write(`GET /tracker HTTP/1.1\r\nHost: ${server.authority}\r\n${WS}${KEY}${origin}\r\n`);
    const head = await within(SOON_MS, '101', new Promise((resolve) => s.once('data', (d) => resolve(String(d)))));
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.match(head, /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i); // RFC 6455 §1.3
    assert.match(head, /Sec-WebSocket-Protocol: bitnet-tracker\.v1/i);
    assert.doesNotMatch(head, /Extensions/i);
    s.destroy();
  }
});

test('a head may come byte by byte', { skip }, async (t) => {
  const server = await serve(t);
  const s = net.connect({ port: server.port, host: server.host, noDelay: true });
  const answer = new Promise((resolve) => s.once('data', (d) => resolve(String(d))));
  for (const c of `GET /health/live HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`) {
    s.write(c);
    await sleep(2);
  }
  assert.match(await within(SOON_MS, 'an answer', answer), /^HTTP\/1\.1 200 /);
});

test('a websocket head may come byte by byte too', { skip }, async (t) => {
  const server = await serve(t);
  const s = net.connect({ port: server.port, host: server.host, noDelay: true });
  const answer = new Promise((resolve) => s.once('data', (d) => resolve(String(d))));
  for (const c of `GET /tracker HTTP/1.1\r\nHost: ${server.authority}\r\n${WS}${KEY}\r\n`) {
    s.write(c);
    await sleep(1);
  }
  assert.match(await within(SOON_MS, 'an answer', answer), /^HTTP\/1\.1 101 /);
  s.destroy();
});

test('at most 64 unfinished heads of one address, the next gets 503', { skip }, async (t) => {
  const server = await serve(t);
  const sockets = [];
  t.after(() => sockets.forEach((s) => s.destroy()));
  for (let i = 0; i < 64; i++) {
    const s = net.connect(server.port, server.host);
    s.on('error', () => {});
    await new Promise((resolve) => s.on('connect', resolve));
    s.write('GET');
    sockets.push(s);
  }
  const busy = net.connect(server.port, server.host);
  busy.on('error', () => {});
  const text = await within(SOON_MS, '503', new Promise((resolve) => busy.once('data', (d) => resolve(String(d)))));
  assert.match(text, /^HTTP\/1\.1 503 /);
  assert.match(text, /Retry-After: /);
  sockets.pop().destroy();
  await until('room again', async () => (await get(server, '/health/live').catch(() => ({}))).status === 200);
});

test('a client that half-closes still gets its answer', { skip }, async (t) => {
  const server = await serve(t);
  const answer = await raw(server, 'GET /models/bitnet-tales.gguf HTTP/1.1\r\n{H}\r\n', { hold: false });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, Number(answer.headers['content-length']));
});

test('clients that half-close and do not read cost no processor time', { skip: skip || process.platform !== 'linux' && 'needs /proc' }, async (t) => {
  const server = await serve(t);
  const ticks = () => {
    const f = readFileSync(`/proc/${server.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(f[11]) + Number(f[12]); // user + system, 10 ms each
  };
  const sockets = [];
  t.after(() => sockets.forEach((s) => s.destroy()));
  for (let i = 0; i < 4; i++) {
    const s = net.connect({ port: server.port, host: server.host, allowHalfOpen: true });
    s.on('error', () => {});
    s.pause();
    const request = `GET /models/bitnet-tales.gguf HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`;
    if (i % 2) s.end(request);
    else s.write(request, () => setTimeout(() => s.write('more than was asked for'), 100));
    sockets.push(s);
  }
  await sleep(1000);
  const before = ticks();
  await sleep(2000);
  const used = ticks() - before;
  assert.ok(used <= 20, `${used * 10} ms of processor time in 2 s; libwebsockets' own HTTP server takes 2000`);
});

