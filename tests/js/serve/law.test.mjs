// produced = stored + declared gaps + still spooled, over real sockets, processes and disks: hubs that are
// killed at any moment, connections that are cut at any byte. What is stored is read from the database after the
// last hub has ended. The same with a fake store and thousands of schedules: tests/unit/test_resume.c.
//
// LAW_KILLS=1000 makes it the long test. The seed is printed; LAW_SEED repeats one.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import WebSocket from 'ws';
import { bin, hello, skip, sleep, until, window } from './harness.mjs';

const KILLS = Number(process.env.LAW_KILLS ?? 30);
const SEED = Number(process.env.LAW_SEED ?? Date.now() % 1e6);
const PRODUCERS = 20;
const SPOOL = 60; // messages; so few that a hub that is away too long makes gaps

function random(seed) { // mulberry32
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** A producer as docs/protocol.md describes it, with a ledger of its own. */
class Producer {
  constructor(instance, proxyPort, hubPort, rnd) {
    Object.assign(this, { instance, proxyPort, hubPort, rnd, epoch: 0, next: 1, acked: 0, spool: [], lostN: 0, samples: 0, sent: 0 });
  }

  produce() {
    const memory = { n: 1, sum: 1, min: 1, max: 1, last: 1 };
    const n = 1 + this.rnd(2);
    const m = n === 2 ? window(1).m : { memory };
    this.spool.push({ seq: this.next, to: this.next, n, message: window(this.next, { m }) });
    this.next++;
    this.samples += n;
    if (this.spool.length > SPOOL) {
      // The oldest two give way to one gap. They were sent, perhaps: so it is known what each number held.
      const [a, b] = this.spool.splice(0, 2);
      this.spool.unshift({ seq: a.seq, to: b.to, lost: [...(a.lost ?? [a]), ...(b.lost ?? [b])] });
    }
    this.flush();
  }

  connect() {
    if (this.ws) return;
    const ws = new WebSocket(`ws://127.0.0.1:${this.proxyPort}/tracker`, 'bitnet-tracker.v1', {
      perMessageDeflate: false,
      headers: { Host: `127.0.0.1:${this.hubPort()}` }, // the hub does not know of the proxy
    });
    this.ws = ws;
    this.welcome = undefined;
    ws.on('open', () => ws.send(JSON.stringify(hello({ instance: this.instance, epoch: ++this.epoch, next_seq: this.next }))));
    ws.on('message', (d) => this.hear(JSON.parse(d)));
    ws.on('error', () => {});
    ws.on('close', (code) => {
      this.closeCode = code;
      if (this.ws === ws) this.ws = undefined;
    });
  }

  hear(m) {
    if (m.type === 'welcome') {
      this.welcome = m;
      this.sent = m.resume_from - 1;
    }
    if (m.type === 'ack') {
      assert.ok(m.seq < this.next, `${m.seq} is acknowledged, ${this.next} comes next`);
      this.acked = Math.max(this.acked, m.seq);
      while (this.spool.length && this.spool[0].to <= this.acked) this.spool.shift();
    }
    if (m.type === 'ping' && this.ws) this.ws.send(JSON.stringify({ type: 'pong', id: m.id, rx_ms: Date.now(), tx_ms: Date.now() }));
    this.flush();
  }

  flush() {
    if (!this.welcome || this.ws?.readyState !== WebSocket.OPEN) return;
    for (const e of this.spool) {
      if (e.to <= this.sent) continue;
      if (e.to - this.acked > this.welcome.window + (e.to - e.seq)) return;
      const lost = e.lost?.filter(({ seq }) => seq > this.sent);
      this.ws.send(JSON.stringify(e.message ??
        { type: 'gap', seq: lost[0].seq, to: e.to, n: lost.reduce((sum, { n }) => sum + n, 0), reason: 'spool_full' }));
      this.sent = e.to;
    }
  }
}

/** Between producers and the hub: forwards bytes until told, or until a random count of them has passed. */
function flaky(rnd, hubPort) {
  const pairs = new Set();
  const server = net.createServer((a) => {
    const b = net.connect(hubPort(), '127.0.0.1');
    const pair = { a, b, left: rnd(8) === 0 ? rnd(20000) : Infinity };
    pairs.add(pair);
    const end = () => {
      a.destroy();
      b.destroy();
      pairs.delete(pair);
    };
    const pass = (to) => (d) => {
      to.write(d.subarray(0, Math.min(d.length, pair.left)));
      pair.left -= d.length;
      if (pair.left <= 0) end();
    };
    a.on('data', pass(b)).on('error', end).on('close', end);
    b.on('data', pass(a)).on('error', end).on('close', end);
  });
  return { server, cut: () => [...pairs].filter(() => rnd(3) === 0).forEach((p) => { p.a.destroy(); p.b.destroy(); }) };
}

function startHub(db) {
  const child = spawn(bin, ['serve', '--port', '0', '--history', db], { stdio: ['ignore', 'pipe', 'pipe'] });
  const hub = { child, err: '' };
  child.stderr.on('data', (d) => (hub.err += d));
  hub.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  hub.ready = new Promise((resolve, reject) => {
    let out = '';
    child.stdout.on('data', (d) => {
      out += d;
      if (out.includes('\n')) resolve(Number(new URL(out.split('\n')[0]).port));
    });
    hub.exited.then(({ code, signal }) => reject(new Error(`the hub ended with ${code ?? signal}: ${hub.err}`)));
  });
  hub.ready.catch(() => {});
  return hub;
}

/** All that is stored, as `bitnet history export` prints it, by instance. */
function stored(db) {
  const runs = JSON.parse(execFileSync(bin, ['history', 'list', '--db', db, '--json'], { maxBuffer: 1e9 }));
  const out = new Map();
  for (const run of runs) {
    const text = execFileSync(bin, ['history', 'export', run.id, '--db', db, '--format', 'jsonl'], { maxBuffer: 1e9 });
    out.set(run.instance, String(text).trim().split('\n').map((line) => JSON.parse(line)));
  }
  return out;
}

test(`the law holds while hubs are killed ${KILLS} times and connections are cut`, { skip }, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const rnd = random(SEED);
  const dir = mkdtempSync(join(tmpdir(), 'bitnet-law-'));
  const db = join(dir, 'history.db');
  let port = 0;
  const proxy = flaky(rnd, () => port);
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  const producers = Array.from({ length: PRODUCERS }, (_, i) =>
    new Producer((i + 1).toString(16), proxy.server.address().port, () => port, rnd));
  let hub;
  t.after(async () => {
    clearInterval(timer);
    for (const p of producers) p.ws?.terminate();
    proxy.server.close();
    hub?.child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  const timer = setInterval(() => {
    for (const p of producers) {
      p.connect();
      for (let n = rnd(3); n > 0; n--) p.produce();
    }
  }, 10);

  for (let kill = 0; kill < KILLS; kill++) {
    hub = startHub(db);
    port = await hub.ready;
    await sleep(50 + rnd(400));
    if (rnd(2)) proxy.cut();
    await sleep(rnd(100));
    hub.child.kill('SIGKILL');
    await hub.exited;
    if (rnd(4) === 0) await sleep(rnd(1500)); // away so long that spools overflow
  }
  clearInterval(timer);
  hub = startHub(db);
  port = await hub.ready;
  await until('empty spools', () => {
    for (const p of producers) p.connect();
    return producers.every((p) => p.spool.length === 0);
  }, 30000).catch((error) => {
    const left = producers.filter((p) => p.spool.length).map((p) =>
      `${p.instance}: ${p.spool[0].seq}..${p.next - 1} in the spool, ${p.acked} acknowledged, ${p.sent} sent, closed with ${p.closeCode}`);
    throw new Error(`${error.message}\n${left.join('\n')}\n${hub.err}`);
  });
  for (const p of producers) p.ws.terminate();
  hub.child.kill('SIGTERM');
  assert.deepEqual(await hub.exited, { code: 0, signal: null });
  assert.doesNotMatch(hub.err, /corrupt|malformed/);

  const found = stored(db);
  let nLost = 0, nStored = 0;
  for (const p of producers) {
    const messages = found.get(p.instance).filter((m) => m.seq !== undefined && m.type !== 'bye');
    let next = 1, kept = 0, lost = 0;
    for (const m of messages) {
      if (m.seq !== next) console.error(messages.map((x) => `${x.type[0]}${x.seq}${x.to ? '-' + x.to : ''}${x.reason ?? ''}`).join(' '));
      assert.equal(m.seq, next, `producer ${p.instance}`);
      next = (m.to ?? m.seq) + 1;
      if (m.type === 'gap') lost += m.n;
      else kept += Object.keys(m.m).length;
    }
    assert.equal(next, p.next, `producer ${p.instance}: numbers`);
    assert.equal(kept + lost, p.samples, `producer ${p.instance}: samples`);
    nLost += lost;
    nStored += kept;
  }
  t.diagnostic(`${nStored} samples stored, ${nLost} declared lost`);
  assert.ok(nStored > KILLS * PRODUCERS, `${nStored} samples`);
});
