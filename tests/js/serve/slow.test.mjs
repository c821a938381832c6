// What takes its time: deadlines of five, ten and thirty seconds, waited for in full. A minute and a half in all.
import assert from 'node:assert/strict';
import test from 'node:test';
import { get, join, large, producer, raw, rawViewer, serve, skip, sleep, SOON_MS, viewer, window, within } from './harness.mjs';

test('a slow head gets 408 at ten seconds, others are served meanwhile', { skip }, async (t) => {
  const server = await serve(t);
  const begin = Date.now();
  const slow = raw(server, 'GET / HTTP/1.1\r\nX: ', { timeoutMs: 15000 });
  await sleep(100);
  assert.equal((await get(server, '/health/live')).status, 200);
  assert.equal((await slow).status, 408);
  assert.ok(Date.now() - begin >= 9500, `closed after ${Date.now() - begin} ms`);
});

test('the first message is due within five seconds', { skip }, async (t) => {
  const server = await serve(t);
  const begin = Date.now();
  const peer = await join(t, server);
  assert.equal((await within(8000, 'the close', peer.closed)).code, 1008);
  assert.ok(Date.now() - begin >= 4900, `closed after ${Date.now() - begin} ms`);
});

test('a viewer that reads nothing for 30 seconds is closed, the others are not', { skip }, async (t) => {
  const server = await serve(t);
  const good = await viewer(t, server);
  const slow = await rawViewer(t, server);
  slow.s.pause();
  const { metrics, m } = large();
  const p = await producer(t, server, { metrics });
  let seq = 0;
  const timer = setInterval(() => p.ws.readyState === p.ws.OPEN && p.send(window(++seq, { m })), 40);
  t.after(() => clearInterval(timer));
  await sleep(20000);
  slow.s.resume(); // having read, it may be slow for as long again
  await sleep(500);
  slow.s.pause();
  await sleep(20000);
  slow.s.resume();
  await sleep(500);
  assert.equal(slow.s.destroyed, false);
  slow.s.pause();
  await sleep(38000);
  const closed = new Promise((resolve) => slow.s.on('close', resolve));
  slow.s.resume();
  await within(SOON_MS, 'the close', closed);
  assert.equal(good.ws.readyState, good.ws.OPEN);
  assert.equal(p.ws.readyState, p.ws.OPEN);
});
