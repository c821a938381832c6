// bench_hub for two seconds: everything that a swarm sends is stored and acknowledged, every viewer that reads hears
// all of it, and those that do not read disturb nobody. How fast the hub is: docs/speed.md.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { bin, serve } from './harness.mjs';

const swarm = join(dirname(bin), 'bench_hub');
const skip = existsSync(swarm) ? false : `there is no executable at ${swarm}`;

test('a swarm of producers and viewers loses nothing, though some viewers do not read', { skip }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'bitnet-load-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const server = await serve(t, ['--history', join(dir, 'history.db')]);
  const shape = { producers: 20, rate: 10, samples: 10, viewers: 20, stalled: 5, seconds: 2 };
  const args = Object.entries(shape).flatMap(([name, n]) => [`--${name}`, String(n)]);
  const { stdout } = await promisify(execFile)(swarm, ['--port', String(server.port), '--json', ...args]);
  const result = JSON.parse(stdout);
  t.diagnostic(stdout.trim());
  assert.equal(result.windows, shape.producers * shape.rate * shape.seconds);
  assert.equal(result.acknowledged, result.windows);
  assert.deepEqual([result.missed, result.closed], [0, 0]);
  assert.ok(result.ack_p50_s > 0 && result.view_p50_s > 0);
});
