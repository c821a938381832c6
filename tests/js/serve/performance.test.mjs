// The numbers of the hub over HTTP: /performance/stats, /metrics, /health, who may read them, what may be
// POSTed, alerts on the board, and `bitnet stats`. What needs minutes to pass is tested with a clock of its own in
// tests/unit/test_stats.c and test_alerts.c.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { bin, get, hello, join, producer, raw, serve, skip, sleep, SOON_MS, together, until, viewer, window, within } from './harness.mjs';

const TOKEN = '0123456789abcdef0123456789abcdef';
const POST = 'POST /performance/export?format=json HTTP/1.1\r\n{H}';

async function json(server, target, headers) {
  const answer = await get(server, target, headers);
  assert.equal(answer.status, 200, `${target}: ${answer.body}`);
  assert.equal(answer.headers['content-type'], 'application/json');
  assert.equal(answer.headers['cache-control'], 'no-store');
  return JSON.parse(answer.body);
}

/** Runs to the end without waiting for other things to stop. */
function run(args, env = {}) {
  return within(4 * SOON_MS, 'the end', new Promise((resolve) => {
    const child = spawn(bin, args, { env: { BITNET_HISTORY: 'off', ...process.env, ...env } });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (d) => (out.stdout += d));
    child.stderr.on('data', (d) => (out.stderr += d));
    child.on('close', (code) => resolve({ ...out, code }));
  }));
}

function tokenFile(t, text = `${TOKEN}\n`, mode = 0o600) {
  const dir = mkdtempSync(path.join(tmpdir(), 'bitnet-token-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = path.join(dir, 'token');
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

/** { 'name{labels}': value } of the text format; throws at a line that is none. */
function samples(text) {
  const found = {};
  for (const line of String(text).trimEnd().split('\n')) {
    if (/^# (HELP|TYPE) bitnet_\w+ ./.test(line)) continue;
    const m = /^(bitnet_\w+(?:\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(line);
    assert.ok(m && !(m[1] in found), line);
    found[m[1]] = Number(m[2].replace('Inf', 'Infinity'));
    assert.ok(!Number.isNaN(found[m[1]]), line);
  }
  return found;
}

/** The last minute is a sum of seconds, so its last bits depend on when a second begins. */
const DIGITS = 12;
const rounded = (o) => JSON.parse(JSON.stringify(o, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(DIGITS)) : v)));

test('statistics are those of the windows that were sent', { skip }, async (t) => {
  const server = await serve(t);
  const p = await producer(t, server, { name: 'one', instance: 'a1' });
  await p.heard('welcome', (m) => m.type === 'welcome');
  for (let i = 1; i <= 10; i++) p.send(window(i));
  p.send({ type: 'window', seq: 11, t_ms: 1795000009000, span_ms: 100, dropped: 3, m: {},
    s: [{ name: 'kernel_time', labels: { kernel: 'tern_matmul' }, n: 30, sum: 0.5, min: 0.1, max: 0.2, last: 0.1 }] });
  p.send({ type: 'op', seq: 12, t_ms: 1795000009100, id: 1, parent: 0, op: 'generate', strategy: 'c', duration_s: 2, ok: true });
  p.send({ type: 'gap', seq: 13, to: 15, n: 40, reason: 'spool_full' });
  await p.heard('the last acknowledgement', (m) => m.type === 'ack' && m.seq === 15);
  const stats = await json(server, '/performance/stats');
  assert.deepEqual(stats.store, { durable: false, state: 'off', reason: null });
  assert.match(stats.hub, /^bitnet \d/);
  assert.ok(Math.abs(stats.t_ms - Date.now()) < 60000 && stats.uptime_s > 0);
  assert.equal(stats.producers.length, 1);
  const [row] = stats.producers;
  const { name, instance, backend, tier, threads, model, state, dropped, lost_samples, rejected, expected } = row;
  assert.deepEqual({ name, instance, backend, tier, threads, model, state, dropped, lost_samples, rejected, expected },
    { name: 'one', instance: 'a1', backend: 'cpu', tier: 'avx512vnni', threads: 2, model: 'bitnet-tales', state: 'live',
      dropped: 3, lost_samples: 40, rejected: 0, expected: { decode_rate: 212 } });
  const tpot = row.metrics.time_per_output_token;
  assert.equal(tpot.n, 90);
  assert.ok(Math.abs(tpot.sum - 0.081) < 1e-12 && tpot.min === 0.0008 && tpot.max === 0.0011 && tpot.last === 0.0009);
  assert.ok(tpot.p50 > 0.0008 && tpot.p50 < tpot.p99 && tpot.p99 < 0.0013, JSON.stringify(tpot));
  assert.deepEqual(rounded(row.last_minute), rounded(row.metrics));
  assert.equal(row.metrics.memory.mean, 18350080);
  assert.equal('p50' in row.metrics.memory, false);
  assert.equal('kernel_time' in row.metrics, false, 'not measured but in a series');
  assert.deepEqual(row.series, [{ name: 'kernel_time', labels: { kernel: 'tern_matmul' }, unit: 's', kind: 'counter', n: 30, sum: 0.5 }]);
  assert.equal(stats.operations.summary.count, 1);
  assert.equal(stats.operations.by_type[0].type, 'generate');
  assert.ok(stats.rules.includes('decode_rate < 0.7 * expected for 30s'));
});

test('a clock offset is in the statistics once it is known', { skip }, async (t) => {
  const server = await serve(t);
  const p = await producer(t, server);
  const ping = await p.heard('ping', (m) => m.type === 'ping');
  p.send({ type: 'pong', id: ping.id, rx_ms: Date.now() + 5000, tx_ms: Date.now() + 5000 });
  const clock = await until('the clock', async () => (await json(server, '/performance/stats')).producers[0].clock);
  assert.ok(Math.abs(clock.offset_ms - 5000) < 1000 && clock.error_ms >= 0, JSON.stringify(clock));
});

test('metrics are counters that survive their producers, and gauges of those that are here', { skip }, async (t) => {
  const server = await serve(t);
  const first = await producer(t, server, { name: 'a "quoted\\ name', instance: 'a1' });
  first.send(window(1));
  await first.heard('ack', (m) => m.type === 'ack');
  const before = await get(server, '/metrics');
  assert.equal(before.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(before.headers['cache-control'], 'no-store');
  const labels = 'backend="cpu",tier="avx512vnni",model="bitnet-tales"';
  const gauge = 'bitnet_memory_bytes{name="a \\"quoted\\\\ name",instance="a1",kind="resident"}';
  assert.equal(samples(before.body)[gauge], 18350080);
  first.send({ type: 'bye', reason: 'done', seq: 1 });
  const second = await producer(t, server, { instance: 'b2' });
  second.send(window(1));
  await second.heard('ack', (m) => m.type === 'ack');
  const now = samples((await get(server, '/metrics')).body);
  assert.equal(now[`bitnet_time_per_output_token_seconds_count{${labels}}`], 18);
  assert.equal(now[`bitnet_time_per_output_token_seconds_bucket{${labels},le="0.002"}`], 18);
  assert.equal(now[`bitnet_time_per_output_token_seconds_bucket{${labels},le="0.0005"}`], 0);
  assert.ok(Math.abs(now[`bitnet_time_per_output_token_seconds_sum{${labels}}`] - 0.0162) < 1e-12);
  assert.equal(gauge in now, false, 'its producer has gone');
  assert.equal(now['bitnet_hub_producers'], 1);
  assert.equal(now['bitnet_tracker_samples_total'], 4);
});

test('promtool has nothing to say about them', { skip: skip || (spawnSync('promtool', ['--version']).error ? 'promtool is not installed' : false) }, async (t) => {
  const server = await serve(t);
  await run(['run', '-p', 'Once', '-n', '30', '--track', `ws://${server.authority}`]);
  const text = (await get(server, '/metrics')).body;
  assert.ok(samples(text)['bitnet_generation_tokens_total{backend="cpu",tier="' + (/tier="([^"]*)"/.exec(text)[1]) + '",model="bitnet-tales"}'] === 30);
  execFileSync('promtool', ['check', 'metrics'], { input: text });
});

test('everything is answered while 64 producers report', { skip }, async (t) => {
  const server = await serve(t);
  const peers = await together(64, async (i) => {
    const p = await producer(t, server, { instance: (i + 1).toString(16) });
    await p.heard('welcome', (m) => m.type === 'welcome');
    return p;
  });
  let seq = 0;
  const sender = setInterval(() => {
    seq++;
    for (const p of peers) if (seq - (p.messages.findLast((m) => m.type === 'ack')?.seq ?? 0) < 64) p.send(window(p.next = (p.next ?? 0) + 1));
  }, 100);
  t.after(() => clearInterval(sender));
  await until('windows of all', async () => samples((await get(server, '/metrics')).body)['bitnet_tracker_samples_total'] >= 2 * 64 * 5, 4 * SOON_MS);
  for (let i = 0; i < 20; i++) {
    const [m, s, h] = await Promise.all(['/metrics', '/performance/stats', '/health'].map((p) => get(server, p)));
    const seen = samples(m.body);
    assert.equal(seen['bitnet_hub_producers'], 64);
    assert.equal(Object.keys(seen).filter((k) => k.startsWith('bitnet_memory_bytes{')).length, 64);
    assert.equal(JSON.parse(s.body).producers.length, 64);
    assert.equal(h.status, 200);
  }
  clearInterval(sender);
  const sent = peers.reduce((n, p) => n + p.next, 0);
  await until('the last window', async () => samples((await get(server, '/metrics')).body)['bitnet_tracker_samples_total'] === 2 * sent);
});

test('a firing alert is on the board, in the statistics and in health, and then resolved', { skip }, async (t) => {
  const server = await serve(t, ['--no-default-alerts', '--alert', 'memory > 1GB', '--alert', 'decode_tokens_per_second < 0.7 * expected']);
  const board = await viewer(t, server);
  assert.equal((await board.heard('health', (m) => m.type === 'health')).status, 'ok');
  const p = await producer(t, server);
  const send = (seq, v) => p.send(window(seq, { m: { memory: { n: 1, sum: v, min: v, max: v, last: v } } }));
  await p.heard('welcome', (m) => m.type === 'welcome');
  send(1, 2e9);
  const { type, rule, producer: number, metric, state, value, limit, t_ms } = await board.heard('alert', (m) => m.type === 'alert');
  assert.deepEqual({ type, rule, number, metric, state, value, limit },
    { type: 'alert', rule: 'memory > 1GB', number: 1, metric: 'memory', state: 'firing', value: 2e9, limit: 1e9 });
  assert.ok(Math.abs(t_ms - Date.now()) < 60000);
  const told = await board.heard('health', (m) => m.type === 'health' && m.status === 'degraded');
  assert.deepEqual(told, { type: 'health', status: 'degraded', reasons: ['alert: producer 1: memory > 1GB'], store: 'off' });
  const health = await json(server, '/health');
  assert.equal(health.status, 'degraded');
  assert.deepEqual(health.reasons, told.reasons);
  assert.deepEqual(health.checks.map((c) => [c.name, c.status]), [['loop', 'ok'], ['store', 'ok'], ['alerts', 'degraded'], ['producers', 'ok']]);
  const stats = await json(server, '/performance/stats');
  assert.deepEqual(stats.alerts.map((a) => [a.rule, a.state, a.value]), [['memory > 1GB', 'firing', 2e9]]);
  assert.deepEqual(stats.rules, ['memory > 1GB', 'decode_tokens_per_second < 0.7 * expected']);
  assert.equal(samples((await get(server, '/metrics')).body)['bitnet_hub_alerts_firing'], 1);
  const late = await viewer(t, server);
  assert.deepEqual((await late.heard('health', (m) => m.type === 'health')).status, 'degraded', 'told right after the welcome');
  assert.equal(late.messages[1].type, 'health');
  send(2, 5e8);
  await board.heard('the end', (m) => m.type === 'alert' && m.state === 'resolved');
  await board.heard('health', (m) => m.type === 'health' && m.status === 'ok' && board.messages.indexOf(m) > board.messages.indexOf(told));
  assert.deepEqual((await json(server, '/performance/stats')).alert_changes.map((a) => a.state), ['firing', 'resolved']);
});

test('an alert is an event of its run, and health knows the history', { skip }, async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'bitnet-alerts-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const db = path.join(dir, 'history.db');
  const server = await serve(t, ['--history', db, '--alert', 'memory > 1MB']);
  const board = await viewer(t, server);
  assert.equal((await board.heard('health', (m) => m.type === 'health')).store, 'ok');
  const p = await producer(t, server);
  await p.heard('welcome', (m) => m.type === 'welcome');
  p.send(window(1));
  await board.heard('alert', (m) => m.type === 'alert');
  await p.heard('ack', (m) => m.type === 'ack');
  assert.deepEqual((await json(server, '/performance/stats')).store, { durable: true, state: 'ok', reason: null });
  const now = samples((await get(server, '/metrics')).body);
  assert.equal(now['bitnet_hub_store_ok'], 1);
  assert.ok(now['bitnet_hub_store_queue_messages'] >= 0);
  server.child.kill('SIGTERM');
  await server.exited;
  const shown = JSON.parse(execFileSync(bin, ['history', 'show', 'latest', '--db', db, '--json']));
  const told = shown.events.map((e) => (typeof e.data === 'string' ? JSON.parse(e.data) : e.data));
  assert.deepEqual(told.map(({ rule, state, value }) => [rule, state, value]), [['memory > 1MB', 'firing', 18350080]]);
});

test('a rule that is none is refused before anything starts', { skip }, async () => {
  const { code, stderr, stdout } = await run(['serve', '--port', '0', '--alert', 'memory >> 1']);
  assert.equal(code, 64);
  assert.match(stderr, /column 9 has ">".*\[alert\.number\]/);
  assert.equal(stdout, '');
});

test('what may be POSTed, and by whom', { skip }, async (t) => {
  const server = await serve(t);
  const own = `http://${server.authority}`;
  const cases = [ // a hub without history answers 404 to an export that was let through
    ['as curl -X POST', `${POST}\r\n`, 404],
    ['as fetch() does', `${POST}Content-Length: 0\r\nOrigin: ${own}\r\nSec-Fetch-Site: same-origin\r\n\r\n`, 404],
    ['by a person', `${POST}Sec-Fetch-Site: none\r\n\r\n`, 404],
    ['from another site', `${POST}Content-Length: 0\r\nOrigin: http://evil.example\r\n\r\n`, 403],
    ['from a file', `${POST}Origin: null\r\n\r\n`, 403],
    ['cross-site', `${POST}Sec-Fetch-Site: cross-site\r\n\r\n`, 403],
    ['same-site', `${POST}Sec-Fetch-Site: same-site\r\n\r\n`, 403],
    ['with a body', `${POST}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`, 413],
    ['with a body to come', `${POST}Content-Length: 4096\r\n\r\n`, 413],
    ['chunked', `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['to another name', POST.replace('{H}', 'Host: evil.example\r\n') + '\r\n', 421],
    ['to the statistics', POST.replace('/export?format=json', '/stats') + '\r\n', 405],
    ['to the page', POST.replace('/performance/export?format=json', '/') + '\r\n', 405],
  ];
  for (const [what, bytes, status] of cases) {
    await t.test(what, async () => assert.equal((await raw(server, bytes)).status, status));
  }
  const asked = await get(server, '/performance/export?format=json');
  assert.equal(asked.status, 405);
  assert.equal(asked.headers.allow, 'POST');
  assert.equal((await get(server, '/performance/history')).status, 404);
  assert.equal(server.stderr.includes('libwebsockets'), false, server.stderr);
});

test('with a token, whoever reads the hub must show it', { skip }, async (t) => {
  const server = await serve(t, ['--token-file', tokenFile(t)]);
  assert.equal(server.url, `http://${server.authority}/?token=${TOKEN}`);
  const bearer = { Authorization: `Bearer ${TOKEN}` };
  for (const target of ['/performance/stats', '/metrics', '/health']) {
    const refused = await get(server, target);
    assert.equal(refused.status, 401, target);
    assert.equal(refused.headers['www-authenticate'], 'Bearer');
    assert.equal((await get(server, target, { Authorization: `Bearer ${TOKEN}0` })).status, 401);
    assert.equal((await get(server, target, { Authorization: `Bearer ${TOKEN.slice(1)}` })).status, 401);
    assert.equal((await get(server, target, { Cookie: 'bitnet=wrong' })).status, 401);
    assert.equal((await get(server, target, bearer)).status, 200);
    assert.equal((await get(server, target, { Cookie: `a=b; bitnet=${TOKEN}` })).status, 200);
  }
  assert.equal((await raw(server, `${POST}\r\n`)).status, 401);
  assert.equal((await raw(server, `${POST}Authorization: Bearer ${TOKEN}\r\n\r\n`)).status, 404);
  assert.equal((await get(server, '/health/live')).status, 200);
  assert.notEqual((await get(server, '/')).status, 401);
});

test('opening the printed address signs a browser in, and its websocket needs nothing more', { skip }, async (t) => {
  const server = await serve(t, ['--token-file', tokenFile(t)]);
  assert.equal((await get(server, '/?token=wrong')).status, 401);
  const opened = await get(server, new URL(server.url).pathname + new URL(server.url).search);
  assert.equal(opened.status, 303);
  assert.equal(opened.headers.location, '/');
  assert.equal(opened.headers['set-cookie'], `bitnet=${TOKEN}; HttpOnly; SameSite=Strict; Path=/`);
  const cookie = opened.headers['set-cookie'].split(';')[0];
  const board = await join(t, server, { headers: { Cookie: cookie, Origin: `http://${server.authority}` } });
  board.send({ type: 'hello', proto: 1, role: 'viewer' });
  await board.heard('welcome', (m) => m.type === 'welcome');
  const native = await join(t, server, { headers: { Authorization: `Bearer ${TOKEN}` } });
  native.send(hello());
  await board.heard('hello', (m) => m.type === 'hello');
  const stranger = await join(t, server); // whoever comes right after them is a stranger all the same
  stranger.send({ type: 'hello', proto: 1, role: 'viewer' });
  assert.equal((await within(SOON_MS, 'the end', stranger.closed)).code, 4401);
});

test('a websocket without the token is closed with 4401, with it in its hello it is not', { skip }, async (t) => {
  const server = await serve(t, ['--token-file', tokenFile(t)]);
  for (const [options, extra] of [[{}, {}], [{}, { token: `${TOKEN}0` }], [{ headers: { Cookie: 'bitnet=wrong' } }, {}]]) {
    const peer = await join(t, server, options);
    peer.send({ type: 'hello', proto: 1, role: 'viewer', ...extra });
    assert.equal((await within(SOON_MS, 'the end', peer.closed)).code, 4401);
  }
  const board = await join(t, server);
  board.send({ type: 'hello', proto: 1, role: 'viewer', token: TOKEN });
  await board.heard('welcome', (m) => m.type === 'welcome');
});

test('a run shows the token in its file', { skip }, async (t) => {
  const file = tokenFile(t);
  const server = await serve(t, ['--token-file', file]);
  const track = ['run', '-p', 'Once', '-n', '20', '--track', `ws://${server.authority}`];
  assert.equal((await run([...track, '--track-token-file', file])).code, 0);
  assert.equal((await run(track)).code, 0, 'a run goes on without its hub');
  const stats = await json(server, '/performance/stats', { Authorization: `Bearer ${TOKEN}` });
  assert.deepEqual(stats.producers.map((p) => [p.name, p.metrics.generation_tokens.sum]), [['cli', 20]]);
});

test('a token that others can read, or that is too weak, is refused', { skip }, async (t) => {
  for (const [text, mode, says] of [
    [`${TOKEN}\n`, 0o640, /mode 640.*chmod 600.*\[token\.mode\]/],
    [`${TOKEN}\n`, 0o604, /\[token\.mode\]/],
    ['short\n', 0o600, /22 to 128.*\[token\.form\]/],
    ['', 0o600, /\[token\.form\]/],
    [`${'x'.repeat(129)}\n`, 0o600, /\[token\.form\]/],
    [`${TOKEN} ${TOKEN}\n`, 0o600, /\[token\.form\]/],
    [`${TOKEN};x\n`, 0o600, /\[token\.form\]/],
  ]) {
    const { code, stderr } = await run(['serve', '--port', '0', '--token-file', tokenFile(t, text, mode)]);
    assert.equal(code, 78, stderr);
    assert.match(stderr, says);
  }
  assert.equal((await run(['serve', '--port', '0', '--token-file', '/nonexistent'])).code, 66);
});

test('with a token the hub may be reached from other machines, under any address of this one', { skip }, async (t) => {
  const server = await serve(t, ['--host', '0.0.0.0'], { env: { BITNET_TOKEN_FILE: tokenFile(t) } });
  const own = Object.values(networkInterfaces()).flat().filter((a) => !a.internal && a.family === 'IPv4').map((a) => a.address);
  for (const address of ['127.0.0.1', ...own]) {
    const there = { ...server, host: address, authority: `${address}:${server.port}` };
    assert.equal((await get(there, '/health/live')).status, 200, address);
    assert.equal((await get(there, '/health')).status, 401, address);
    assert.equal((await get(there, '/health', { Authorization: `Bearer ${TOKEN}` })).status, 200, address);
  }
  const rebound = await raw({ ...server, host: '127.0.0.1' }, `GET /health/live HTTP/1.1\r\nHost: evil.example:${server.port}\r\n\r\n`);
  assert.equal(rebound.status, 421);
});

test('bitnet stats prints what the hub knows, as a table or as it is', { skip }, async (t) => {
  const server = await serve(t);
  await run(['run', '-p', 'Once', '-n', '25', '--track', `ws://${server.authority}`]);
  const table = await run(['stats', `http://${server.authority}/`]);
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /^bitnet \d.*, 1 producers\n/);
  assert.match(table.stdout, /generation_tokens +\{token\} +25 +25 +-/);
  const asked = await run(['stats', '--json', `http://${server.authority}`]);
  assert.equal(asked.code, 0, asked.stderr);
  const [a, b] = [JSON.parse(asked.stdout), await json(server, '/performance/stats')];
  assert.deepEqual(a.producers, b.producers);
});

test('bitnet stats says what is wrong', { skip }, async (t) => {
  const free = net.createServer().listen(0, '127.0.0.1');
  await until('a port', () => free.address());
  const { port } = free.address();
  free.close();
  const absent = await run(['stats', `http://127.0.0.1:${port}`]);
  assert.equal(absent.code, 69);
  assert.match(absent.stderr, /no hub answers.*bitnet serve.*\[stats\.absent\]/);
  for (const url of ['', 'ws://127.0.0.1:8080', 'http://', 'http://a:b', 'http://a:123456', 'http://a/path', 'http://[::1']) {
    const bad = await run(['stats', url]);
    assert.equal(bad.code, 64, url);
    assert.match(bad.stderr, /\[stats\.url\]/);
  }
  const strangers = ['', 'HTTP/1.1 200 OK\r\n\r\n{}', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}', 'SSH-2.0-x\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope'];
  let at = 0;
  const stranger = net.createServer((s) => s.once('data', () => s.end(strangers[at]))).listen(0, '127.0.0.1');
  t.after(() => stranger.close());
  await until('a port', () => stranger.address());
  for (; at < strangers.length; at++) {
    const got = await run(['stats', `http://127.0.0.1:${stranger.address().port}`]);
    assert.equal(got.code, 69, `${strangers[at]}: ${got.stderr}`);
    assert.match(got.stderr, /\[stats\.answer\]/);
  }
  const server = await serve(t, ['--token-file', tokenFile(t)]);
  const refused = await run(['stats', `http://${server.authority}`]);
  assert.equal(refused.code, 69);
  assert.match(refused.stderr, /--token-file.*\[stats\.token\]/);
  assert.equal((await run(['stats', '--token-file', tokenFile(t), `http://${server.authority}`])).code, 0);
});

test('someone who asks and does not read delays nobody', { skip }, async (t) => {
  const server = await serve(t);
  const sockets = await together(32, async () => {
    const s = net.connect(server.port, server.host);
    t.after(() => s.destroy());
    s.on('error', () => {});
    s.pause();
    s.write(`GET /performance/stats HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`);
    return s;
  });
  await sleep(100);
  for (const target of ['/health', '/metrics', '/performance/stats']) {
    const begin = Date.now();
    assert.equal((await get(server, target)).status, 200);
    assert.ok(Date.now() - begin < SOON_MS);
  }
  for (const s of sockets) s.destroy();
});
