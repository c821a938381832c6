// How `bitnet serve` starts, what it says when it cannot, and how it stops.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { bin, get, producer, serve, skip, sleep, SOON_MS, until, viewer, within } from './harness.mjs';

/** Runs to the end. */
function run(args, env = {}) {
  return within(SOON_MS, 'the end', new Promise((resolve) => {
    const child = spawn(bin, ['serve', ...args], { env: { ...process.env, ...env } });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (d) => (out.stdout += d));
    child.stderr.on('data', (d) => (out.stderr += d));
    child.on('close', (code) => resolve({ ...out, code }));
  }));
}

test('stdout is one line, the address', { skip }, async (t) => {
  const server = await serve(t);
  await get(server, '/health/live');
  server.child.kill('SIGTERM');
  await server.exited;
  assert.match(server.stdout, /^http:\/\/127\.0\.0\.1:\d+\/\n$/);
});

test('--open hands the address to xdg-open where there is a display', { skip }, async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'bitnet-open-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const seen = path.join(dir, 'seen');
  writeFileSync(path.join(dir, 'xdg-open'), `#!/bin/sh\nprintf %s "$1" > '${seen}.part' && mv '${seen}.part' '${seen}'\n`, { mode: 0o755 });
  const env = { PATH: `${dir}:${process.env.PATH}`, DISPLAY: ':99', WAYLAND_DISPLAY: '' };
  const server = await serve(t, ['--open'], { env });
  await until('xdg-open was called', () => existsSync(seen));
  assert.equal(readFileSync(seen, 'utf8'), server.url);
});

test('--open without a display says which address to open', { skip }, async (t) => {
  const server = await serve(t, ['--open'], { env: { DISPLAY: '', WAYLAND_DISPLAY: '' } });
  await until('the advice', () => server.stderr.includes('no display'));
  assert.ok(server.stderr.includes(server.url), server.stderr);
});

test('a port in use is named, with what to do', { skip }, async (t) => {
  const server = await serve(t);
  const { code, stderr, stdout } = await run(['--port', String(server.port)]);
  assert.equal(code, 69);
  assert.match(stderr, new RegExp(`^bitnet: error: port ${server.port} .*--port.*\\[serve\\.port\\.busy\\]$`, 'm'));
  assert.equal(stdout, '');
});

test('the port may come from the environment', { skip }, async (t) => {
  const server = await serve(t);
  assert.equal((await run([], { BITNET_PORT: String(server.port) })).code, 69);
});

test('addresses that other machines can reach are refused', { skip }, async () => {
  const own = Object.values(networkInterfaces()).flat().filter((a) => !a.internal && !a.scopeid).map((a) => a.address);
  for (const host of ['0.0.0.0', '::', '[::]', '192.0.2.1', ...own]) {
    const { code, stderr } = await run(['--host', host, '--port', '0']);
    assert.equal(code, 78, `${host}: ${stderr}`);
    assert.match(stderr, /--token-file.*\[serve\.host\.public\]/, host);
  }
});

test('what is no address is refused', { skip }, async () => {
  for (const host of ['', 'a b', 'x\r\ny', '127.0.0.1:80', `${'a'.repeat(300)}`]) {
    const { code, stderr } = await run(['--host', host, '--port', '0']);
    assert.equal(code, 64, `${host}: ${stderr}`);
  }
  assert.equal((await run(['--port', '65536'])).code, 64);
  assert.equal((await run(['--web-root', '/nonexistent'])).code, 66);
  assert.equal((await run(['--web-root', bin])).code, 66);
});

test('other loopback addresses work under their own name', { skip }, async (t) => {
  const hosts = ['localhost', '127.0.0.2'];
  if (Object.values(networkInterfaces()).flat().some((a) => a.address === '::1')) hosts.push('::1', '[::1]');
  for (const host of hosts) {
    const server = await serve(t, ['--host', host]);
    assert.equal((await get(server, '/health/live')).status, 200, host);
    const board = await viewer(t, server);
    assert.equal(board.messages[0].type, 'welcome', host);
  }
});

test('on SIGTERM everybody is told 1001 and the exit code is 0', { skip }, async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const server = await serve(t);
    const board = await viewer(t, server);
    const p = await producer(t, server);
    const begin = Date.now();
    server.child.kill(signal);
    assert.equal((await within(SOON_MS, 'the close', board.closed)).code, 1001);
    assert.equal((await within(SOON_MS, 'the close', p.closed)).code, 1001);
    assert.deepEqual(await within(SOON_MS, 'the exit', server.exited), { code: 0, signal: null });
    assert.ok(Date.now() - begin < 2500, `${Date.now() - begin} ms`);
  }
});

/** Asks for the model and reads nothing of it. */
async function stuckDownload(t, server) {
  const s = net.connect(server.port, server.host);
  t.after(() => s.destroy());
  s.on('error', () => {});
  s.pause();
  s.write(`GET /models/bitnet-tales.gguf HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`);
  await sleep(300);
  return s;
}

test('an answer under way is finished before the exit', { skip }, async (t) => {
  const server = await serve(t);
  const s = await stuckDownload(t, server);
  let n = 0;
  s.on('data', (d) => (n += d.length));
  s.pause();
  server.child.kill('SIGTERM');
  await sleep(300);
  s.resume();
  await within(SOON_MS, 'the end', new Promise((resolve) => s.on('end', resolve)));
  assert.ok(n > 3000000, `${n} bytes`);
  assert.equal((await server.exited).code, 0);
});

test('one that never ends does not hold the exit for more than two seconds', { skip }, async (t) => {
  const server = await serve(t);
  await stuckDownload(t, server);
  const begin = Date.now();
  server.child.kill('SIGTERM');
  assert.equal((await within(SOON_MS, 'the exit', server.exited)).code, 0);
  assert.ok(Date.now() - begin < 4000, `${Date.now() - begin} ms`);
});

test('a second signal does not wait', { skip }, async (t) => {
  const server = await serve(t);
  await stuckDownload(t, server);
  server.child.kill('SIGINT');
  await sleep(200);
  const begin = Date.now();
  server.child.kill('SIGINT');
  assert.equal((await within(SOON_MS, 'the exit', server.exited)).code, 130);
  assert.ok(Date.now() - begin < 1000);
});

test('after the stop nobody new is let in', { skip }, async (t) => {
  const server = await serve(t);
  await stuckDownload(t, server);
  server.child.kill('SIGTERM');
  await sleep(200);
  await assert.rejects(get(server, '/health/live'), { code: 'ECONNREFUSED' });
});
