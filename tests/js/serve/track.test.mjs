// `bitnet run --track` from another process: on the board within a second, and no worse off for a hub that
// is not there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import test from 'node:test';
import { bin, serve, skip, SOON_MS, viewer, within } from './harness.mjs';

const TOKENS = 300; // so many that the run outlasts the connection to the hub

function run(args) {
  return within(4 * SOON_MS, 'the end of the run', new Promise((resolve) => {
    const begin = Date.now();
    const child = spawn(bin, ['run', '-p', 'Once upon a time', '--temp', '0', '-n', String(TOKENS), ...args]);
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (d) => (out.stdout += d));
    child.stderr.on('data', (d) => (out.stderr += d));
    child.on('close', (code) => resolve({ ...out, code, ms: Date.now() - begin }));
  }));
}

test('a run joins the board, reports what it did and says bye', { skip }, async (t) => {
  const server = await serve(t);
  const board = await viewer(t, server);
  const finished = run(['--track', `ws://${server.authority}`]);
  const joined = await board.heard('hello', (m) => m.type === 'hello', SOON_MS);
  const { code, stdout } = await finished;
  assert.equal(code, 0);
  const bye = await board.heard('bye', (m) => m.type === 'bye');
  const windows = board.messages.filter((m) => m.type === 'window');
  assert.deepEqual(bye, { type: 'bye', producer: joined.producer, reason: 'done', seq: windows.length + 1 });
  const op = board.messages.find((m) => m.type === 'op');
  assert.deepEqual([op.op, op.ok, op.units, op.unit, op.meta.finish], ['generate', true, TOKENS, 'token', 'length']);
  assert.equal(joined.model, 'bitnet-tales');
  assert.deepEqual(board.messages.filter((m) => m.seq && m.type !== 'bye').map((m) => m.seq).sort((a, b) => a - b),
    [...windows, op].map((_, i) => i + 1));
  const sum = (name) => windows.reduce((n, w) => n + (w.m[name]?.sum ?? 0), 0);
  assert.equal(windows.at(-1).dropped, 0);
  assert.equal(sum('generation_tokens'), TOKENS);
  assert.equal(sum('requests'), 1);
  assert.equal((await run([])).stdout, stdout, 'tracking changes no token');
});

test('a hub that is away, or does not answer, changes nothing', { skip }, async (t) => {
  const plain = await run([]);
  const mute = net.createServer(() => {});
  await new Promise((resolve) => mute.listen(0, '127.0.0.1', resolve));
  t.after(() => mute.close());
  for (const url of ['ws://127.0.0.1:1', `ws://127.0.0.1:${mute.address().port}`]) {
    const { code, stdout, ms } = await run(['--track', url]);
    assert.equal(code, 0, url);
    assert.equal(stdout, plain.stdout, url);
    assert.ok(ms < plain.ms + 1500, `${url}: ${ms} ms, without ${plain.ms} ms`);
  }
});

test('what is no address of a hub is refused before anything runs', { skip }, async () => {
  for (const url of ['http://127.0.0.1:8080', 'ws://', '127.0.0.1:8080']) {
    const { code, stdout, stderr } = await run(['--track', url]);
    assert.equal(code, 64, url);
    assert.equal(stdout, '', url);
    assert.match(stderr, /ws:\/\/127\.0\.0\.1:8080.*\[tracker\.url\]/, url);
  }
});
