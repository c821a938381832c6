// The hub over real websockets: docs/protocol.md from the outside. What needs minutes to pass is tested
// with a clock of its own in tests/unit/test_hub.c.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { hello, join, large, op, producer, rawViewer, serve, skip, sleep, SOON_MS, together, until, viewer, window, within } from './harness.mjs';

const PNG = Buffer.from('89504e470d0a1a0a', 'hex');

test('a hello and its windows reach a viewer as they were meant', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const said = hello();
  const p = await join(t, server);
  p.send(said);
  p.send(window(1));
  await board.heard('window', (m) => m.type === 'window');
  const [welcome, first, second] = board.messages;
  assert.equal(welcome.proto, 1);
  assert.match(welcome.hub, /^bitnet \d+\.\d+\.\d+$/);
  assert.ok(Math.abs(welcome.t_ms - Date.now()) < 60000);
  const number = first.producer;
  assert.ok(Number.isInteger(number) && number > 0);
  assert.deepEqual(first, { ...said, producer: number });
  assert.deepEqual(second, { ...window(1), producer: number });
});

/** The JSON of docs/protocol.md, one message after another; some take several lines. */
async function messagesOfThePage() {
  const page = await readFile(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/^```json\n(.*?)^```/gms)].map(([, text]) => text);
  return blocks.flatMap((text) => text.split(/\n(?=\{"type")/).map((one) => JSON.parse(one)));
}

test('the hub takes the messages of docs/protocol.md, in their order, and answers with those it names', { skip }, async (t) => {
  const all = await messagesOfThePage();
  const fromProducer = all.filter((m) => m.producer === undefined &&
    (m.role === 'producer' || ['window', 'op', 'bye'].includes(m.type) || (m.type === 'gap' && m.to)));
  assert.deepEqual(fromProducer.map((m) => m.type), ['hello', 'window', 'op', 'gap', 'bye']);
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await join(t, server);
  for (const m of fromProducer) p.send(m);
  await board.heard('bye', (m) => m.type === 'bye');
  const heard = board.messages.filter((m) => fromProducer.some(({ type }) => type === m.type));
  assert.deepEqual(heard.map(({ producer, ...m }) => m), fromProducer);
  const welcome = await p.heard('welcome', (m) => m.type === 'welcome');
  const written = all.find((m) => m.type === 'welcome' && m.resume_from);
  assert.deepEqual(Object.keys(welcome), Object.keys(written));
});

test('a producer joins a board within a second', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const begin = Date.now();
  await producer(t, server);
  await board.heard('hello', (m) => m.type === 'hello', 1000);
  assert.ok(Date.now() - begin < 1000);
});

test('a late viewer gets every producer: hello, windows in order, bye', { skip }, async (t) => {
  const server = await serve(t);
  const done = await producer(t, server, { instance: 'a1', name: 'done' });
  for (let i = 1; i <= 3; i++) done.send(window(i));
  done.send({ type: 'bye', reason: 'done', seq: 3 });
  done.ws.close();
  await done.closed;
  const live = await producer(t, server, { instance: 'b2', name: 'live' });
  for (let i = 1; i <= 20; i++) live.send(window(i));
  await sleep(300);

  const board = await viewer(t, server);
  await board.heard('the last window', (m) => m.type === 'window' && m.seq === 20);
  const [a, b] = ['done', 'live'].map((name) => board.messages.find((m) => m.name === name).producer);
  assert.notEqual(a, b);
  const story = board.messages.slice(1).map((m) => `${m.producer} ${m.type} ${m.reason ?? m.seq ?? ''}`.trim());
  const windows = (p, n) => Array.from({ length: n }, (_, i) => `${p} window ${i + 1}`);
  assert.deepEqual(story, [`${a} hello`, ...windows(a, 3), `${a} bye done`, `${b} hello`, ...windows(b, 20)]);

  live.send(window(21));
  await board.heard('what comes now', (m) => m.seq === 21);
});

test('a producer that vanishes is said to be lost', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await producer(t, server);
  await board.heard('hello', (m) => m.type === 'hello');
  p.ws.terminate();
  const bye = await board.heard('bye', (m) => m.type === 'bye');
  assert.deepEqual(bye, { type: 'bye', producer: board.messages[1].producer, reason: 'lost', seq: 0 });
});

test('a bye is said once, also when the connection ends after it', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await producer(t, server);
  p.send({ type: 'bye', reason: 'done', seq: 0 });
  p.ws.close();
  await p.closed;
  await sleep(200);
  assert.deepEqual(board.messages.filter((m) => m.type === 'bye').map((m) => m.reason), ['done']);
});

test('the same instance again replaces the older connection and keeps its row', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const first = await producer(t, server);
  first.send(window(1));
  await board.heard('window 1', (m) => m.seq === 1);
  const second = await producer(t, server, { instance: '9F86D081884C7D65' }); // digits, not letters, count
  assert.equal((await within(SOON_MS, 'the close', first.closed)).code, 4409);
  second.send(window(2));
  await board.heard('window 2', (m) => m.seq === 2);
  assert.equal(new Set(board.messages.slice(1).map((m) => m.producer)).size, 1);
  assert.equal(board.messages.filter((m) => m.type === 'bye').length, 0, 'replaced, not lost');
  assert.equal(second.ws.readyState, second.ws.OPEN);

  second.ws.terminate();
  await board.heard('lost', (m) => m.type === 'bye');
  const third = await producer(t, server);
  third.send(window(3));
  await board.heard('window 3', (m) => m.seq === 3);
  const late = await viewer(t, server);
  await late.heard('window 3', (m) => m.seq === 3);
  assert.deepEqual(late.messages.slice(1).map((m) => m.type), ['hello', 'window', 'window', 'window']);
});

const refused = [
  ['not JSON', 'hello', 1008],
  ['nothing', '', 1008],
  ['an array', '[]', 1008],
  ['two objects', '{}{}', 1008],
  ['an object that does not end', '{"type":"hello"', 1008],
  ['no fields', {}, 1008],
  ['a window before the hello', window(1), 1008],
  ['another protocol number', hello({ proto: 2 }), 1008],
  ['a role there is not', hello({ role: 'admin' }), 1008],
  ['a name that is a number', hello({ name: 7 }), 1008],
  ['an empty name', hello({ name: '' }), 1008],
  ['a name of 65 bytes', hello({ name: 'x'.repeat(65) }), 1008],
  ['a name with a line break', hello({ name: 'a\nb' }), 1008],
  ['a name with a NUL', JSON.stringify(hello()).replace('"cli"', '"cli\\u0000"'), 1008],
  ['a name with half a surrogate', JSON.stringify(hello()).replace('"cli"', '"\\ud800"'), 1008],
  ['a raw control character', JSON.stringify(hello()).replace('"cli"', '"c\x01"'), 1008],
  ['no instance', hello({ instance: undefined }), 1008],
  ['an instance that is not hex', hello({ instance: 'xyz' }), 1008],
  ['an instance of 33 digits', hello({ instance: '0'.repeat(33) }), 1008],
  ['no epoch', hello({ epoch: undefined }), 1008],
  ['an expectation that is a text', hello({ expected: { decode_rate: 'fast' } }), 1008],
  ['a token that is a number', hello({ token: 7 }), 1008],
  ['threads below zero', hello({ threads: -1 }), 1008],
  ['half a thread', hello({ threads: 0.5 }), 1008],
  ['a time as a string', hello({ t_ms: '1795000000000' }), 1008],
  ['metrics that are no list', hello({ metrics: {} }), 1008],
  ['a metric with a bad name', hello({ metrics: [{ name: 'a b', unit: '', kind: 'gauge', help: '' }] }), 1008],
  ['a metric kind there is not', hello({ metrics: [{ name: 'a', unit: '', kind: 'sum', help: '' }] }), 1008],
  ['one metric twice', hello({ metrics: [0, 1].map(() => ({ name: 'a', unit: '', kind: 'gauge', help: '' })) }), 1008],
  ['129 metrics', hello({ metrics: Array.from({ length: 129 }, (_, i) => ({ name: `m${i}`, unit: '', kind: 'gauge', help: '' })) }), 1008],
  ['fields in other letters', JSON.stringify(hello()).replace('"role"', '"ROLE"'), 1008],
  ['deep nesting', `{"type":"hello","a":${'['.repeat(30000)}${']'.repeat(30000)}}`, 1008],
  ['more than 64 KiB', JSON.stringify(hello({ help: 'x'.repeat(70000) })), 1009],
  ['bytes instead of text', PNG, 1003],
  ['text that is not UTF-8', Buffer.from('{"type":"\xff"}', 'latin1'), 1007],
];

test('a first message that is not a hello closes the connection with its code', { skip }, async (t) => {
  const server = await serve(t);
  for (const [what, message, code] of refused) {
    await t.test(what, async (t2) => {
      const peer = await join(t2, server);
      if (Buffer.isBuffer(message)) peer.ws.send(message, { binary: code === 1003 });
      else peer.send(message);
      assert.equal((await within(SOON_MS, 'the close', peer.closed)).code, code);
    });
  }
});

const series = (fields) => window(1, { s: [{ name: 'kernel_time', labels: { kernel: 'tern_matmul' },
  n: 1, sum: 1, min: 1, max: 1, last: 1, ...fields }] });

const after = [
  ['a second hello', hello(), 1008],
  ['a type there is not', { type: 'event' }, 1008],
  ['a window without seq', window(undefined), 1008],
  ['seq 0', window(0), 1008],
  ['seq past 2^53', JSON.stringify(window(1)).replace('"seq":1', '"seq":9007199254740994'), 1008],
  ['a metric that was not announced', window(1, { m: { other: { n: 1, sum: 1, min: 1, max: 1, last: 1 } } }), 1008],
  ['a metric with n 0', window(1, { m: { memory: { n: 0, sum: 0, min: 0, max: 0, last: 0 } } }), 1008],
  ['a metric without max', window(1, { m: { memory: { n: 1, sum: 0, min: 0, last: 0 } } }), 1008],
  ['buckets of a gauge', window(1, { m: { memory: { n: 1, sum: 0, min: 0, max: 0, last: 0, b: [1, 1] } } }), 1008],
  ...[undefined, [], [1], [1, 2], [2, 1, 1, 1], [1024, 1], [-1, 1], [1, 0], ['1', 1], [1, 0.5]].map((b) => [
    `a histogram of one value with the buckets ${JSON.stringify(b)}`,
    window(1, { m: { time_per_output_token: { n: 1, sum: 1, min: 1, max: 1, last: 1, b } } }), 1008]),
  ['a series of a metric that was not announced', series({ name: 'other' }), 1008],
  ['a series without labels', series({ labels: undefined }), 1008],
  ['a label that is a number', series({ labels: { kernel: 1 } }), 1008],
  ['a label with a line break', series({ labels: { kernel: 'a\nb' } }), 1008],
  ['a label of 257 bytes', series({ labels: { kernel: 'x'.repeat(257) } }), 1008],
  ['17 labels', series({ labels: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, ''])) }), 1008],
  ['a label with a bad name', series({ labels: { 'a b': '' } }), 1008],
  ['an operation without a type', op(1, { op: undefined }), 1008],
  ['an operation that took less than no time', op(1, { duration_s: -1 }), 1008],
  ['a quality above 1', op(1, { quality: 1.5 }), 1008],
  ['ok as a text', op(1, { ok: 'yes' }), 1008],
  ['meta with an object', op(1, { meta: { a: {} } }), 1008],
  ['a gap that ends before it begins', { type: 'gap', seq: 1, to: 0, reason: 'spool_full' }, 1008],
  ['a number beyond the next', window(2), 4410],
  ['a number that is none', JSON.stringify(window(1)).replace('18350080', '1e999'), 1008],
  ['null for a number', window(1, { span_ms: null }), 1008],
  ['a bye with a number', { type: 'bye', reason: 1, seq: 0 }, 1008],
];

test('what may follow a hello', { skip }, async (t) => {
  const server = await serve(t);
  for (const [what, message, code] of after) {
    await t.test(what, async (t2) => {
      const p = await producer(t2, server, { instance: String(refused.length + after.findIndex((r) => r[0] === what)) });
      p.send(message);
      const closed = await within(SOON_MS, 'the close', p.closed);
      assert.equal(closed.code, code);
      assert.match(closed.reason, /^[A-Z][^\n]+\.$/);
    });
  }
});

test('fields that the protocol does not name are dropped, strings are escaped anew', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const name = '</script><img src=x onerror=alert(1)>"\\\u2028é𝄞';
  const said = hello({ name, extra: { a: 1 }, producer: 99 });
  const p = await join(t, server);
  p.send(said);
  p.send(window(1, { extra: [1], producer: 99, m: {} }));
  await board.heard('window', (m) => m.type === 'window');
  const [, first, second] = board.messages;
  const { extra, ...known } = said;
  assert.deepEqual(first, { ...known, producer: first.producer });
  assert.deepEqual(second, { ...window(1, { m: {} }), producer: first.producer });
  assert.notEqual(first.producer, 99);
});

test('a viewer sends nothing after its hello', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  board.send(window(1));
  assert.equal((await within(SOON_MS, 'the close', board.closed)).code, 1008);
});

test('what a producer says is acknowledged, and a new connection goes on behind it', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await producer(t, server);
  const welcome = await p.heard('welcome', (m) => m.type === 'welcome');
  assert.equal(welcome.resume_from, 1);
  assert.ok(welcome.window >= 1);
  p.send(window(1));
  p.send(op(2));
  p.send({ type: 'gap', seq: 3, to: 7, n: 12, reason: 'spool_full' });
  await p.heard('the acknowledgement of all', (m) => m.type === 'ack' && m.seq === 7);
  await board.heard('the gap', (m) => m.type === 'gap');
  assert.deepEqual(board.messages.slice(2).map((m) => [m.type, m.seq]), [['window', 1], ['op', 2], ['gap', 3]]);
  assert.deepEqual(board.messages[3], { ...op(2), producer: board.messages[1].producer });

  const again = await producer(t, server);
  assert.equal((await again.heard('welcome', (m) => m.type === 'welcome')).resume_from, 8);
  again.send(window(7)); // again: ignored
  again.send(window(8));
  await again.heard('the acknowledgement', (m) => m.type === 'ack' && m.seq === 8);
  assert.equal(board.messages.filter((m) => m.seq === 7).length, 0);
});

test('a value outside its range is left out, and the rest is kept', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await producer(t, server);
  const { m } = window(1);
  m.memory = { n: 1, sum: -5, min: -5, max: -5, last: -5 };
  p.send(window(1, { m }));
  const nack = await p.heard('nack', (x) => x.type === 'nack');
  assert.deepEqual([nack.seq, nack.metric, nack.n, nack.found], [1, 'memory', 1, -5]);
  const heard = await board.heard('window', (x) => x.type === 'window');
  assert.deepEqual(Object.keys(heard.m), ['time_per_output_token']);
});

test('the hub asks for the time, and viewers hear how far a clock is off', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await producer(t, server);
  const AHEAD_MS = 3600_000;
  p.ws.on('message', (d) => {
    const m = JSON.parse(d);
    const at = Date.now() + AHEAD_MS;
    if (m.type === 'ping') p.send({ type: 'pong', id: m.id, rx_ms: at, tx_ms: at });
  });
  const clock = await board.heard('clock', (m) => m.type === 'clock');
  assert.ok(clock.error_ms >= 0);
  // Date.now() has whole milliseconds, and the answer waits for this process.
  assert.ok(Math.abs(clock.offset_ms - AHEAD_MS) <= clock.error_ms + 2, JSON.stringify(clock));
});

test('a thousand messages a second, then 4429', { skip }, async (t) => {
  const server = await serve(t);
  const ok = await producer(t, server, { instance: '1' });
  for (let i = 1; i <= 900; i++) ok.send(window(i));
  const flood = await producer(t, server, { instance: '2' });
  for (let i = 1; i <= 4000; i++) flood.send(window(i));
  assert.equal((await within(SOON_MS, 'the close', flood.closed)).code, 4429);
  await sleep(200);
  assert.equal(ok.ws.readyState, ok.ws.OPEN);
});

const PRODUCERS = 256;
test(`${PRODUCERS} producers; the next is told to come later`, { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const all = await together(PRODUCERS, (i) => producer(t, server, { instance: (i + 1).toString(16) }));
  await until('all rows', () => board.messages.filter((m) => m.type === 'hello').length === PRODUCERS);
  const extra = await producer(t, server, { instance: 'ffff' });
  assert.equal((await within(SOON_MS, 'the close', extra.closed)).code, 1013);
  const again = await producer(t, server, { instance: '1' });
  assert.equal((await within(SOON_MS, 'the older one', all[0].closed)).code, 4409);
  assert.equal(again.ws.readyState, again.ws.OPEN);
  all[1].ws.terminate();
  await board.heard('room', (m) => m.type === 'bye');
  const next = await producer(t, server, { instance: 'fffe' });
  await board.heard('the new one', (m) => m.instance === 'fffe');
  assert.equal(next.ws.readyState, next.ws.OPEN);
});

const VIEWERS = 1024;
test(`${VIEWERS} viewers; the next is told to come later`, { skip }, async (t) => {
  const server = await serve(t);
  await together(VIEWERS, () => viewer(t, server));
  const extra = await join(t, server);
  extra.send({ type: 'hello', proto: 1, role: 'viewer' });
  assert.equal((await within(SOON_MS, 'the close', extra.closed)).code, 1013);
});

test('a viewer that stops reading is told how much it missed and gets the newest; the others miss none', { skip }, async (t) => {
  const server = await serve(t);
  const good = await viewer(t, server);
  const slow = await rawViewer(t, server);
  slow.s.pause();
  // 64 metrics make a window of 14 KiB; 600 of them fill what the hub keeps for those who lag behind.
  const { metrics, m } = large();
  const producers = [];
  for (let i = 1; i <= 10; i++) producers.push(await producer(t, server, { instance: String(i), metrics }));
  const rounds = 120;
  for (let i = 1; i <= rounds; i++) {
    for (const p of producers) p.send(window(i, { m }));
    if (i % 20 === 0) await until('all at the good one', () => good.messages.length >= 1 + 10 + 10 * i, 20000);
  }
  assert.equal(good.messages.filter((x) => x.type === 'gap').length, 0);
  slow.s.resume();
  await until('a gap at the slow one', () => slow.messages().some((x) => x.type === 'gap'), 20000);
  await until('the newest of all', () => slow.messages().filter((x) => x.seq === rounds).length >= 10, 20000);
  const heard = slow.messages().slice(1);
  const at = heard.findIndex((x) => x.type === 'gap');
  const toldInAll = at + heard[at].missed; // with what the hub says itself
  assert.ok(toldInAll >= 10 + 10 * rounds && toldInAll < good.messages.length, `${toldInAll} of ${good.messages.length - 1}`);
  const after = heard.slice(at + 1).filter((x) => x.type === 'window');
  assert.deepEqual(after.map((x) => x.seq), producers.map(() => rounds));
});

test('a ping is answered, a message may come in fragments', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const p = await join(t, server);
  const pong = new Promise((resolve) => p.ws.on('pong', (d) => resolve(String(d))));
  p.ws.ping('are you there');
  assert.equal(await within(SOON_MS, 'pong', pong), 'are you there');
  const text = JSON.stringify(hello());
  for (let i = 0; i < text.length; i += 10) p.ws.send(text.slice(i, i + 10), { fin: i + 10 >= text.length });
  await board.heard('hello', (m) => m.type === 'hello');
});
