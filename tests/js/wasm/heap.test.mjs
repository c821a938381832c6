// heap.test.mjs: targets/wasm/js/heap.ts with browsers that the test plays; chromium.test.mjs has a real one.
import assert from "node:assert/strict";
import test from "node:test";
import { importTs } from "./load_ts.mjs";

const { watchHeap } = await importTs("heap");
const EACH_MS = 30_000;

/** A browser that has what is given, and a clock that the test moves. */
function play(t, { isolated = true, measure, memory }) {
  const browser = {};
  if (measure) browser.measureUserAgentSpecificMemory = measure;
  if (memory) Object.defineProperty(browser, "memory", { get: memory });
  const clock = { now: 0, timers: new Map(), last: 0 };
  const played = {
    performance: browser,
    crossOriginIsolated: isolated,
    setTimeout: (callback, ms) => (clock.timers.set(++clock.last, { callback, at: clock.now + ms }), clock.last),
    clearTimeout: (id) => clock.timers.delete(id),
  };
  for (const [name, value] of Object.entries(played)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  clock.tick = async (ms) => {
    clock.now += ms;
    for (const [id, { callback, at }] of [...clock.timers]) {
      if (at > clock.now) continue;
      clock.timers.delete(id);
      callback();
    }
    await settle();
  };
  return clock;
}

/** Everything that waits for nothing but its turn. */
const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

const part = (bytes, ...types) => ({ bytes, types, attribution: [] });

test("an isolated page is measured at once, then every half minute; what is JavaScript's counts", async (t) => {
  let calls = 0;
  const measure = async () => ({
    bytes: 999_999_999,
    breakdown: [part(1000 * ++calls, "JavaScript"), part(50, "DOM"), part(7, "JavaScript"), part(90_000, "Shared")],
  });
  const clock = play(t, { measure, memory: () => ({ usedJSHeapSize: 1 }) });
  const seen = [];
  const stop = watchHeap(async (bytes) => seen.push(bytes));
  await settle();
  assert.deepEqual(seen, [1007]);
  await clock.tick(EACH_MS - 1);
  assert.equal(calls, 1);
  await clock.tick(1);
  assert.deepEqual(seen, [1007, 2007]);
  stop();
  await clock.tick(10 * EACH_MS);
  assert.equal(calls, 2);
});

test("where the browser does not say what is what, the whole counts", async (t) => {
  play(t, { measure: async () => ({ bytes: 123_456, breakdown: [part(123_456)] }) });
  const seen = [];
  t.after(watchHeap(async (bytes) => seen.push(bytes)));
  await settle();
  assert.deepEqual(seen, [123_456]);
});

test("a page that is not isolated has the old way", async (t) => {
  const measure = () => assert.fail("not allowed here");
  play(t, { isolated: false, measure, memory: () => ({ usedJSHeapSize: 5_000_000 }) });
  const seen = [];
  t.after(watchHeap(async (bytes) => seen.push(bytes)));
  await settle();
  assert.deepEqual(seen, [5_000_000]);
});

for (const [what, measure] of [
  ["rejects", async () => Promise.reject(new DOMException("no", "SecurityError"))],
  ["throws", () => { throw new TypeError("gone"); }],
  ["answers nonsense", async () => ({ bytes: NaN, breakdown: [] })],
  ["answers nothing", async () => undefined],
]) {
  test(`a way that ${what} in mid-run is left out, and the next one goes on`, async (t) => {
    let isBroken = false;
    let calls = 0;
    const flaky = () => (calls++, isBroken ? measure() : Promise.resolve({ bytes: 10, breakdown: [] }));
    const clock = play(t, { measure: flaky, memory: () => ({ usedJSHeapSize: 20 }) });
    const seen = [];
    t.after(watchHeap(async (bytes) => seen.push(bytes)));
    await settle();
    isBroken = true;
    for (let i = 0; i < 2; i++) {
      await clock.tick(EACH_MS);
    }
    isBroken = false; /* whole again: it stays out */
    await clock.tick(EACH_MS);
    assert.deepEqual(seen, [10, 20, 20, 20]);
    assert.equal(calls, 2);
  });
}

test("where there is no way, and where the last one fails, nothing is measured and nothing goes wrong", async (t) => {
  const clock = play(t, { memory: () => { throw new Error("taken away"); } });
  const fail = async () => assert.fail("there is nothing to report");
  watchHeap(fail)();
  const stop = watchHeap(fail);
  await settle();
  Object.defineProperty(globalThis, "performance", { value: {}, configurable: true });
  watchHeap(fail);
  await settle();
  await clock.tick(10 * EACH_MS);
  stop();
});

test("a worker that no longer listens ends it", async (t) => {
  let calls = 0;
  const clock = play(t, { measure: async () => ({ bytes: ++calls, breakdown: [] }) });
  watchHeap(async () => Promise.reject(new Error("disposed")));
  await settle();
  await clock.tick(10 * EACH_MS);
  assert.equal(calls, 1);
});
