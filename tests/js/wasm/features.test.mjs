// features.test.mjs: what is chosen, tiers and threads, on machines that lack something or compute wrongly.
import assert from "node:assert/strict";
import test from "node:test";
import { importTs } from "./load_ts.mjs";

globalThis.self ??= globalThis; /* as in browsers; api.test.mjs has what Node.js gets */
const { isSupported, selfTest, whyNoThreads, workingTiers } = await importTs("features");
const { countsToTry, fewestThatPay, mostThreads } = await importTs("threads");

async function tiersHere() {
  const tiers = [];
  for await (const tier of workingTiers()) tiers.push(tier);
  return tiers;
}

test("this Node.js has SIMD128 and computes with it rightly", async () => {
  assert.equal(isSupported("simd128"), true);
  assert.equal(await selfTest("simd128"), true);
});

test("a tier that sums wrongly is not chosen", async (t) => {
  const { Instance } = WebAssembly;
  t.after(() => (WebAssembly.Instance = Instance));
  /* An engine whose every sum is one too large, once its code has run a while. */
  WebAssembly.Instance = function (module) {
    const { exports } = new Instance(module);
    const f = (times) => {
      exports.f(times);
      if (times > 1) new Int32Array(exports.m.buffer, 48, 4)[2] += 1;
    };
    return { exports: { m: exports.m, f } };
  };
  assert.equal(await selfTest("simd128"), false);
  assert.deepEqual((await tiersHere()).map(({ value }) => value), ["c"]);
});

test("the tiers that work here come fastest first, and say why", async () => {
  const tiers = await tiersHere();
  const names = tiers.map(({ value }) => value);
  const hasRelaxed = isSupported("relaxed") && (await selfTest("relaxed"));
  assert.deepEqual(names, hasRelaxed ? ["relaxed", "simd128", "c"] : ["simd128", "c"]);
  for (const { reason } of tiers) assert.match(reason, /^This browser .*\.$/);
});

test("an engine without SIMD gets plain code, and the reason says so", async (t) => {
  const { validate } = WebAssembly;
  t.after(() => (WebAssembly.validate = validate));
  WebAssembly.validate = () => false;
  assert.deepEqual(await tiersHere(), [
    { value: "c", reason: "This browser has no WebAssembly SIMD: plain code runs, several times slower." },
  ]);
});

/** What Node.js has none of, as a page would have it, until the test ends. */
function pretend(t, globals) {
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => {
      delete globalThis[name];
      if (before) Object.defineProperty(globalThis, name, before);
    });
  }
}

test("threads need shared memory that another thread can be sent, and the reason says what is missing", (t) => {
  pretend(t, { navigator: { hardwareConcurrency: 4 } });
  assert.equal(whyNoThreads(), undefined);
  pretend(t, { SharedArrayBuffer: undefined });
  assert.match(whyNoThreads(), /^The page is not cross-origin isolated.*Cross-Origin-Opener-Policy.*\.$/);
  assert.deepEqual(mostThreads(8), { value: 1, reason: whyNoThreads(), mayTune: false });
  pretend(t, { crossOriginIsolated: true });
  assert.match(whyNoThreads(), /^This browser gives WebAssembly no shared memory/);
});

test("memory that cannot be sent to a worker is no shared memory", (t) => {
  class Refusing {
    port1 = { postMessage: () => assert.fail("DataCloneError") };
  }
  pretend(t, { MessageChannel: Refusing, crossOriginIsolated: false });
  assert.match(whyNoThreads(), /not cross-origin isolated/);
});

test("an engine that refuses atomic instructions gets one thread", (t) => {
  const { validate } = WebAssembly;
  t.after(() => (WebAssembly.validate = validate));
  WebAssembly.validate = (bytes) => !new Uint8Array(bytes).includes(0xfe) && validate.call(WebAssembly, bytes);
  assert.equal(mostThreads(undefined).value, 1);
});

test("as many threads are started as could pay, whatever the browser tells of its cores", (t) => {
  const most = (hardwareConcurrency, wanted) => {
    pretend(t, { navigator: { hardwareConcurrency } });
    return mostThreads(wanted);
  };
  assert.equal(most(4).value, 4);
  assert.equal(most(64).value, 8);
  assert.equal(most(1).value, 2);
  assert.equal(most(undefined).value, 2);
  assert.match(most(64).reason, /64 cores/);
  assert.deepEqual(most(4, 3), { value: 3, reason: "3 threads were asked for.", mayTune: false });
  assert.deepEqual(most(4, 1), { value: 1, reason: "One thread was asked for.", mayTune: false });
  assert.deepEqual([1, 2, 6, 8].map(countsToTry), [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]);
});

test("the fewest threads within a twentieth of the best are taken", () => {
  const choose = (...gb) => fewestThatPay(gb.map((rate, i) => ({ threads: 2 ** i, bytesPerSecond: rate * 1e9 })));
  assert.equal(choose(5, 9.8, 14, 14.2).value, 4);
  assert.equal(choose(5, 9.8, 14, 15).value, 8);
  assert.equal(choose(5, 4, 3, 1).value, 1);
  assert.equal(choose(5).value, 1);
  assert.equal(choose(5, 4.9).value, 2, "a second thread that costs nothing now may gain something later");
  assert.equal(choose(5, 4.9, 4.95, 5).value, 2);
  assert.equal(choose(5, 4.7).value, 1);
  assert.match(choose(5, 9.84).reason, /by 1 at 5\.0 GB\/s, 2 at 9\.8 GB\/s: 2 is enough\.$/);
});
