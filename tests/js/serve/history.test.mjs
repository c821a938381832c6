// /performance/history and /performance/export over real sockets: what a producer sent comes back exactly,
// malformed questions are named, and nothing of it delays the loop.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { bin, get, hello, op, parse, producer, raw, serve, skip, sleep, SOON_MS, until, window, within } from './harness.mjs';

const HISTORY = '/performance/history', EXPORT = '/performance/export';
const LABELS = { kind: '=1+1', quote: 'a"b\\c,d' }; // hostile to CSV and JSON

/** A folder of the test's own. */
function folder(t) {
  const dir = mkdtempSync(path(tmpdir(), 'bitnet-history-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function keeping(t, args = []) {
  return serve(t, ['--history', path(folder(t), 'h.db'), ...args]);
}

async function json(server, query = '') {
  const answer = await get(server, HISTORY + query);
  assert.equal(answer.status, 200, String(answer.body));
  assert.match(answer.headers['content-type'], /^application\/json/);
  return JSON.parse(answer.body);
}

const ask = (o) => `?${new URLSearchParams(o)}`;

function post(server, query, headers) {
  return get(server, EXPORT + query, headers, 'POST');
}

/** RFC 4180: rows of cells. */
function csvRows(text) {
  const rows = [[]];
  for (const [, cell, end] of text.matchAll(/((?:"(?:[^"]|"")*")|[^,\r\n]*)(,|\r\n)/g)) {
    rows.at(-1).push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end !== ',') rows.push([]);
  }
  return rows.slice(0, -1);
}

const labelled = (n) => ({ name: 'memory', labels: LABELS, n: 1, sum: n, min: n, max: n, last: n });

/** Reports `n` windows, then an operation and a gap, and waits until the hub has them for good. */
async function report(t, server, n, overrides) {
  const peer = await producer(t, server, overrides);
  for (let i = 1; i <= n; i++) peer.send(window(i, { s: [labelled(i)] }));
  peer.send(op(n + 1));
  peer.send({ type: 'gap', seq: n + 2, to: n + 5, n: 44, reason: 'spool_full' });
  await peer.heard('the last number', (m) => m.type === 'ack' && m.seq === n + 5);
  return peer;
}

test('what a producer reported is answered as it was sent', { skip }, async (t) => {
  const server = await keeping(t);
  assert.deepEqual(await json(server), { runs: [] });
  await report(t, server, 3);
  const { runs } = await json(server);
  assert.equal(runs.length, 1);
  const { id, heard_ms, ...run } = runs[0];
  assert.match(id, /^[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.ok(Math.abs(heard_ms - Date.now()) < 60_000, `${heard_ms} is about now`);
  assert.deepEqual(run, {
    name: 'cli', instance: '9f86d081884c7d65', backend: 'cpu', tier: 'avx512vnni', threads: 2, model: 'bitnet-tales',
    host: 'AMD EPYC 9B14, 2 CPUs', build: '0.1.0 19cf141', t_ms: 1795000000000, started_ms: 1795000000000,
    last_t_ms: 1795000001300, ended_ms: null, reason: null, last_seq: 8, expected: { decode_rate: 212 },
    samples: 3 * (9 + 1 + 1), lost_samples: 44, clock: null,
  });

  const one = await json(server, ask({ run: id }));
  assert.deepEqual(one.run, runs[0]);
  const metrics = Object.fromEntries(one.metrics.map((m) => [m.name + (m.labels ? JSON.stringify(m.labels) : ''), m]));
  const { p50, p90, p95, p99, sum, mean, ...time } = metrics.time_per_output_token;
  assert.deepEqual(time, {
    name: 'time_per_output_token', unit: 's', kind: 'hist', help: 'one decode step', labels: null, n: 27,
    min: 0.0008, max: 0.0011, last: 0.0009,
  });
  const ROUNDING = 1e-15; // of three additions
  assert.ok(Math.abs(sum - 0.0243) < ROUNDING && Math.abs(mean - 0.0009) < ROUNDING, `${sum}, ${mean}`);
  for (const p of [p50, p90, p95, p99]) assert.ok(p >= 0.0008 && p <= 0.0011, `${p} is within what was measured`);
  assert.equal(p99, 0.0011, 'the middle of the last bucket is beyond the largest value');
  assert.deepEqual([metrics.memory.p50, metrics.memory.last, metrics.memory.unit], [null, 18350080, 'By']);
  assert.equal(metrics[`memory${JSON.stringify(LABELS)}`].sum, 1 + 2 + 3);
  assert.deepEqual(one.gaps, [{ type: 'gap', seq: 5, to: 8, n: 44, reason: 'spool_full' }]);
  assert.deepEqual(one.operations, [op(4)]);
  assert.deepEqual([one.n_gaps, one.n_operations], [1, 1]);

  const course = await json(server, ask({ run: id.slice(0, 20), metric: 'time_per_output_token' }));
  const { p50: a, p95: b, p99: c, ...first } = course.points[0];
  assert.deepEqual(first, { t_ms: 1795000001300, span_ms: 100, n: 9, sum: 0.0081, min: 0.0008, max: 0.0011, last: 0.0009 });
  assert.ok(a >= 0.0008 && a <= b && b <= c && c === 0.0011, `${a} ${b} ${c}`);
  assert.deepEqual({ ...course, points: course.points.map((p) => p.t_ms) }, {
    run: id, metric: 'time_per_output_token', labels: null, unit: 's', kind: 'hist', resolution: 'raw',
    points: [1795000001300, 1795000001400, 1795000001500],
  });
  const reversed = { quote: LABELS.quote, kind: LABELS.kind }; // keys in any order
  const memory = await json(server, ask({ run: 'latest', metric: 'memory', labels: JSON.stringify(reversed), from: 1795000001400 }));
  assert.deepEqual(memory.points.map((p) => [p.last, p.p50]), [[2, null], [3, null]]);
  assert.deepEqual(memory.labels, LABELS);
});

test('points are put together to as many as were asked for, and to minutes', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 200);
  const series = (o) => json(server, ask({ run: 'latest', metric: 'memory', labels: JSON.stringify(LABELS), ...o }));
  const all = await series({});
  assert.deepEqual(all.points.map((p) => p.sum), Array.from({ length: 200 }, (_, i) => i + 1));
  const few = await series({ points: 7 });
  assert.ok(few.points.length <= 7 && few.points.length > 3, `${few.points.length} points`);
  assert.equal(few.points.reduce((n, p) => n + p.n, 0), 200);
  assert.equal(few.points.reduce((n, p) => n + p.sum, 0), (200 * 201) / 2);
  assert.deepEqual([few.points[0].min, few.points.at(-1).max, few.points.at(-1).last], [1, 200, 200]);
  assert.equal(few.points.reduce((n, p) => n + p.span_ms, 0), 200 * 100, 'they cover the whole time');
  const minute = await series({ resolution: 'minute' });
  assert.deepEqual([minute.resolution, minute.points.map((p) => p.span_ms)], ['minute', [60000, 60000]]);
  assert.deepEqual(minute.points.map((p) => [p.t_ms, p.sum]),
    [[1795000020000, (187 * 188) / 2], [1795000080000, (200 * 201 - 187 * 188) / 2]], 'the minute ends at t_ms');
});

test('runs are found by name, model and time, the newest first', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 1, { instance: 'a1', name: 'first', model: 'm one' });
  await report(t, server, 1, { instance: 'b2', name: 'second', started_ms: 1795000009000 });
  const names = async (o) => (await json(server, ask(o))).runs.map((r) => r.name);
  assert.deepEqual(await names({}), ['second', 'first']);
  assert.deepEqual(await names({ limit: 1 }), ['second']);
  assert.deepEqual(await names({ name: 'first' }), ['first']);
  assert.deepEqual(await names({ model: 'm one' }), ['first'], 'a blank is + in a query');
  assert.deepEqual(await names({ since: 1795000005000 }), ['second']);
  assert.deepEqual(await names({ name: "' OR 1=1 --" }), []);
});

test('an export is a file that reads back as what was sent', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 2, { name: '=cmd|a!A1' });
  const [{ id }] = (await json(server)).runs;
  const csv = await post(server, '?format=csv&run=latest');
  assert.equal(csv.status, 200, String(csv.body));
  assert.equal(csv.headers['content-disposition'], `attachment; filename="bitnet-${id}.csv"`);
  assert.equal(csv.headers['content-type'], 'text/csv; charset=utf-8');
  assert.equal(csv.headers['x-content-type-options'], 'nosniff');
  assert.equal(csv.headers['cache-control'], 'no-store');
  const [header, ...rows] = csvRows(String(csv.body));
  assert.deepEqual(header, 'run,name,metric,unit,labels,seq,t_ms,n,sum,min,max,last'.split(','));
  const expected = [1, 2].flatMap((seq) => {
    const w = window(seq, { s: [labelled(seq)] }), before = [id, "'=cmd|a!A1"];
    const numbers = (v) => [seq, w.t_ms, v.n, v.sum, v.min, v.max, v.last].map(String);
    return [
      [...before, 'time_per_output_token', 's', '', ...numbers(w.m.time_per_output_token)],
      [...before, 'memory', 'By', '', ...numbers(w.m.memory)],
      [...before, 'memory', 'By', JSON.stringify(LABELS), ...numbers(w.s[0])],
    ];
  });
  assert.deepEqual(rows, expected);
  const whole = await post(server, '?format=json');
  assert.equal(whole.headers['content-disposition'], 'attachment; filename="bitnet-history.json"');
  const [{ run, messages }] = JSON.parse(whole.body);
  assert.equal(run.id, id);
  assert.deepEqual(messages.slice(1), [1, 2].map((i) => window(i, { s: [labelled(i)] })).concat(op(3),
    { type: 'gap', seq: 4, to: 7, n: 44, reason: 'spool_full' }));
});

test('HEAD tells the length, and only POST exports', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 1);
  const whole = await get(server, HISTORY), head = await get(server, HISTORY, {}, 'HEAD');
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length],
    [200, String(whole.body.length), 0]);
  for (const method of ['GET', 'HEAD']) {
    const answer = await get(server, `${EXPORT}?format=csv`, {}, method);
    assert.deepEqual([answer.status, answer.headers.allow], [405, 'POST'], method);
  }
  const foreign = await post(server, '?format=csv', { Origin: 'http://evil.example' });
  assert.equal(foreign.status, 403, 'a page of another site may not');
});

test('a malformed question is named, with what was found and what is allowed', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 1);
  const run = 'run=latest', metric = `${run}&metric=memory`;
  const cases = [
    ['limit=0', /limit is "0"; 1 to 1000/], ['limit=1001', /limit is "1001"/], ['limit=1e2', /limit is "1e2"/],
    ['limit=', /limit is ""/], ['limit=99999999999999999999', /limit is/], ['since=-1', /since is "-1"; milliseconds/],
    ['limit=1&limit=2', /"limit" twice/], ['limit', /"limit"; name=value/], ['=1', /"=1"; name=value/],
    ['name=%zz', /two hex digits/], ['name=%0', /two hex digits/], ['name=%00', /./], ['name=%ff', /UTF-8/],
    ['colour=red', /parameter "colour"; a list of runs takes limit, since, name, model/],
    [`${run}&limit=1`, /parameter "limit"; a run takes run/], ['run=', /run is ""/], ['run=uuu', /run is "uuu"; an id/],
    ['run=..%2f', /run is "..\/"/], [`run=${'0'.repeat(27)}`, /run is "000/], ['metric=memory', /metric comes without run/],
    [`${run}&metric=`, /metric is ""/], [`${metric}&points=0`, /points is "0"; 1 to 5000/], [`${metric}&points=5001`, /points/],
    [`${metric}&resolution=day`, /resolution is "day"; auto, raw, minute and hour/], [`${metric}&from=x`, /from is "x"/],
    [`${metric}&from=5&to=5`, /from is 5 and to 5/], [`${metric}&labels=x`, /labels is "x"; a JSON object/],
    [`${metric}&labels=[]`, /labels/], [`${metric}&labels={"a":1}`, /labels/], [`${metric}&labels={"a":"b"}x`, /labels/],
    [`${metric}&labels={"a":"b","a":"c"}`, /labels/], [Array.from({ length: 17 }, (_, i) => `a${i}=1`).join('&'), /16 parameters/],
  ];
  for (const [query, sentence] of cases) {
    const answer = await get(server, `${HISTORY}?${query.replace(/["{}[\]]/g, encodeURIComponent)}`);
    assert.equal(answer.status, 400, `${query}: ${answer.body}`);
    assert.match(String(answer.body), sentence, query);
  }
  for (const [query, sentence] of [['', /format is missing; csv and json/], ['?format=xml', /format is "xml"/],
    ['?format=csv&limit=1', /an export takes format, run/]]) {
    const answer = await post(server, query);
    assert.deepEqual([answer.status, sentence.test(String(answer.body))], [400, true], `${query}: ${answer.body}`);
  }
});

test('what is not there is 404', { skip }, async (t) => {
  const server = await keeping(t);
  assert.equal((await get(server, `${HISTORY}?run=latest`)).status, 404, 'no run yet');
  await report(t, server, 1);
  for (const query of ['run=ZZZZ', 'run=latest&metric=speed']) {
    const answer = await get(server, `${HISTORY}?${query}`);
    assert.equal(answer.status, 404, `${query}: ${answer.body}`);
    assert.match(String(answer.body), /has no (run|metric) "/, query);
  }
  assert.deepEqual((await json(server, '?run=latest&metric=kernel_time')).points, [], 'announced, never measured');
  assert.equal((await post(server, '?format=csv&run=ZZZZ')).status, 404);
  const without = await serve(t);
  for (const answer of [await get(without, HISTORY), await post(without, '?format=csv')]) {
    assert.deepEqual([answer.status, String(answer.body)], [404, 'This server keeps no history.\n']);
  }
});

test('several runs of one beginning are told apart', { skip }, async (t) => {
  const server = await keeping(t);
  await report(t, server, 1, { instance: 'a1' });
  await report(t, server, 1, { instance: 'b2' });
  const answer = await get(server, `${HISTORY}?run=0`); // a ULID begins with the time
  assert.equal(answer.status, 400);
  assert.match(String(answer.body), /"0" is the beginning of several runs/);
});

test('the token of the server is asked for here too', { skip }, async (t) => {
  const token = '0123456789abcdef0123456789abcdef', file = path(folder(t), 'token');
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  const server = await keeping(t, ['--token-file', file]);
  server.authority = new URL(server.url).host;
  for (const ask of [(h) => get(server, HISTORY, h), (h) => post(server, '?format=csv', h)]) {
    assert.equal((await ask({})).status, 401);
    assert.equal((await ask({ Authorization: `Bearer ${token.replace('0', '1')}` })).status, 401);
    assert.equal((await ask({ Authorization: `Bearer ${token}` })).status, 200);
    assert.equal((await ask({ Cookie: `bitnet=${token}` })).status, 200);
  }
});

const WINDOWS = 5000; // an export of so many takes many times what the loop does between two requests

/** A history with a run of that length. */
async function largeHistory(t) {
  const dir = folder(t), db = path(dir, 'h.db'), lines = path(dir, 'run.jsonl');
  const all = [hello({ epoch: 1 })];
  for (let i = 1; i <= WINDOWS; i++) all.push(window(i, { s: [labelled(i)] }));
  writeFileSync(lines, all.map((m) => JSON.stringify(m)).join('\n') + '\n');
  await promisify(execFile)(bin, ['history', 'import', lines, '--db', db]);
  return serve(t, ['--history', db]);
}

/** Asks for an export and returns the socket at once. */
function open(t, server, request = `POST ${EXPORT}?format=json HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`) {
  const s = net.connect(server.port, server.host);
  t.after(() => s.destroy());
  const chunks = [];
  s.on('error', () => {});
  s.on('data', (d) => chunks.push(d));
  s.answer = new Promise((resolve) => s.on('close', () => resolve(parse(Buffer.concat(chunks)))));
  s.write(request);
  return s;
}

test('a busy history delays nobody else, and asks to come back when its queue is full', { skip }, async (t) => {
  const server = await largeHistory(t);
  const begin = Date.now();
  const sockets = Array.from({ length: 40 }, () => open(t, server));
  let n = 0, slowest = 0, over = false;
  const finished = Promise.all(sockets.map((s) => s.answer)).then((a) => ((over = true), a));
  while (!over && n < 50) {
    const asked = Date.now();
    assert.equal((await get(server, '/health/live')).status, 200);
    slowest = Math.max(slowest, Date.now() - asked);
    n++;
  }
  const answers = await within(30 * SOON_MS, 'the exports', finished);
  const took = Date.now() - begin, done = answers.filter((a) => a.status === 200);
  const refused = answers.filter((a) => a.status === 503);
  assert.equal(done.length + refused.length, 40, answers.map((a) => a.status).join(' '));
  assert.ok(done.length >= 1, 'none was answered');
  assert.ok(refused.length >= 1, 'none was refused');
  for (const a of refused) {
    assert.equal(a.headers['retry-after'], '1');
    assert.match(String(a.body), /try again|within 30 seconds/); // the second where a sanitizer reads slowly
  }
  for (const a of done) assert.equal(a.body.length, Number(a.headers['content-length']));
  assert.equal(JSON.parse(done[0].body)[0].messages.length, WINDOWS + 1);
  // A loop that made the answers itself would make all of them before the first of these requests.
  assert.ok(slowest < took / 2, `/health/live took ${slowest} ms while exports took ${took} ms`);
});

test('clients that leave while they wait, or while they are sent to, harm nothing', { skip }, async (t) => {
  const server = await largeHistory(t);
  for (let round = 0; round < 3; round++) {
    const sockets = Array.from({ length: 17 }, () => open(t, server));
    await sleep(30 * round); // queued, at work, being sent
    for (const [i, s] of sockets.entries()) i % 2 ? s.resetAndDestroy() : s.destroy();
  }
  // What nobody waits for is not read: the queue is empty again long before 51 exports could be made.
  const answer = await until('room in the queue', async () => {
    const a = await get(server, `${HISTORY}?limit=1`);
    return a.status === 200 && a;
  });
  assert.equal(JSON.parse(answer.body).runs[0].last_seq, WINDOWS);
  assert.equal(server.child.exitCode, null);
  server.child.kill('SIGINT');
  assert.deepEqual(await within(SOON_MS, 'the end', server.exited), { code: 0, signal: null });
});

test('a server that is stopped while it reads ends at once, with 0', { skip }, async (t) => {
  const server = await largeHistory(t);
  const sockets = Array.from({ length: 10 }, () => open(t, server));
  await sleep(20);
  server.child.kill('SIGINT');
  assert.deepEqual(await within(SOON_MS, 'the end', server.exited), { code: 0, signal: null });
  for (const s of sockets) await within(SOON_MS, 'the end of a connection', s.answer);
});
