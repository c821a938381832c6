// features.test.mjs: the self-test of the SIMD tiers notices a machine that computes wrongly.
import assert from "node:assert/strict";
import test from "node:test";
import { importTs } from "./load_ts.mjs";

const { chooseThreads, chooseTier, isSupported, selfTest } = await importTs("features");

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
  assert.equal(await chooseTier(), undefined);
});

test("the tier chosen here works, and says why it was chosen", async () => {
  const { value, reason } = await chooseTier();
  assert.equal(value, isSupported("relaxed") && (await selfTest("relaxed")) ? "relaxed" : "simd128");
  assert.match(reason, /^This browser .*\.$/);
});

test("threads need an isolated page, and the reason says so", (t) => {
  const cores = (hardwareConcurrency) =>
    Object.defineProperty(globalThis, "navigator", { value: { hardwareConcurrency }, configurable: true });
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  t.after(() => {
    delete globalThis.crossOriginIsolated;
    if (before) Object.defineProperty(globalThis, "navigator", before);
  });
  cores(4);
  assert.equal(chooseThreads(undefined).value, 1);
  assert.match(chooseThreads(8).reason, /not cross-origin isolated.*Cross-Origin-Opener-Policy/);
  globalThis.crossOriginIsolated = true;
  assert.equal(chooseThreads(undefined).value, 4);
  assert.equal(chooseThreads(3).value, 3);
  assert.deepEqual(chooseThreads(1), { value: 1, reason: "One thread was asked for." });
  cores(64);
  assert.equal(chooseThreads(undefined).value, 8);
  assert.match(chooseThreads(undefined).reason, /64 cores/);
  cores(1);
  assert.match(chooseThreads(undefined).reason, /one core/);
});
