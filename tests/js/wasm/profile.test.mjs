// profile.test.mjs: a profiled session under Node.js, what its profiler makes of it, and how clocks are chosen.
import assert from "node:assert/strict";
import test from "node:test";
import { importTs } from "./load_ts.mjs";
import { GOLDEN, MODEL, startModule } from "./module.mjs";

const { chooseClock, makeTrace, Profiler, Session } = await importTs("profiling", "trace", "profiler", "session");

const HOW = { nCtx: 0, cacheTypeK: "auto", cacheTypeV: "auto", stagedHead: "off" };
const BOUNDS = { threads: 1, bytesPerSecond: 1e9, int8OperationsPerSecond: 1e9 };
const [FIRST] = GOLDEN.prompts;

async function openSession() {
  const { memory, ...glue } = await startModule();
  const session = new Session({ glue, memory, stopThreads: () => undefined });
  session.reserve(MODEL.length);
  session.write(0, MODEL);
  session.load(1, HOW);
  return session;
}

/** As the worker does it: every event becomes a message. */
function generate(session, profiler, maxTokens) {
  const tokens = [];
  session.submit({ prompt: FIRST.text, fields: { maxTokens, temp: 0 }, stop: [], logitBias: [], seed: 0n });
  for (let end = false; !end; ) {
    session.step();
    for (let event = session.poll(); event; event = session.poll()) {
      const begin = performance.now();
      if (event.kind === "prompt") profiler?.onReply({ id: 1, type: "prompt", tokenIds: event.tokenIds }, begin);
      if (event.kind === "token") profiler?.onReply({ id: 1, type: "tokens", tokens: [event] }, begin);
      if (event.kind === "token") tokens.push(event.token);
      end ||= event.kind === "end";
    }
    profiler?.collect();
  }
  return tokens;
}

test("a profiled session gives the same tokens, and counts each ternary weight once a token", async () => {
  const session = await openSession();
  const plain = generate(session, undefined, 12);
  const profiler = new Profiler(session, BOUNDS, 1e6, 100);
  assert.deepEqual(generate(session, profiler, 12), plain);
  assert.deepEqual(plain, FIRST.greedy40.slice(0, 12));
  const { machine, prefill, decode, layers } = profiler.report();
  assert.equal(machine, BOUNDS);
  const ternary = decode.filter(({ kernel }) => kernel.startsWith("tern_matmul."));
  const roles = ternary.map(({ kernel }) => kernel.slice("tern_matmul.".length));
  assert.deepEqual(roles.sort(), ["attn_output", "attn_qkv", "ffn_down", "ffn_gate_up"]);
  /* a layer of n_embd 256, n_ff 1024, two K/V heads of four: q, k and v, output, and gate, up, down */
  const weights = 6 * (256 * 256 + 2 * 128 * 256 + 256 * 256 + 3 * 256 * 1024);
  const n = decode.find(({ kernel }) => kernel === "head").calls;
  assert.ok(n >= 1 && n <= 11, `${n} passes`);
  assert.equal(ternary.reduce((sum, { bytes }) => sum + bytes, 0), (n * weights) / 4);
  assert.ok(ternary.every(({ seconds, roofline }) => seconds > 0 && roofline > 0));
  assert.equal(prefill.find(({ kernel }) => kernel === "head").bytes, 256 * 4096 * 2);
  assert.deepEqual(layers.map(({ layer }) => layer), [0, 1, 2, 3, 4, 5]);
  profiler.close();
  assert.deepEqual(generate(session, undefined, 12), plain);
  session.free();
});

test("a trace holds every span once, on the worker's clock, and the page's moved to it", async () => {
  const session = await openSession();
  const profiler = new Profiler(session, BOUNDS, 1e6, 100);
  generate(session, profiler, 6);
  const info = { name: 'a "name"', backend: "cpu", tier: "simd128", tokenBytes: 1 };
  const begin = profiler.beginMs - 1000;
  const page = [{ name: "receive tokens", begin, end: begin + 1, args: { tokens: 1 } }];
  const trace = JSON.parse(await makeTrace(profiler, info, page, { offset: 1002, error: 0.5, by: "messages" }).text());
  const spans = trace.traceEvents.filter(({ ph }) => ph === "X");
  const kept = profiler.tracks[0].rows.reduce((sum, rows) => sum + rows.length / 48, 0);
  assert.equal(spans.filter(({ tid, cat }) => tid === 1 && cat !== "message").length, kept);
  assert.ok(kept > 100, `${kept} spans`);
  const { ts, dur } = spans.find(({ tid }) => tid === 1000);
  assert.ok(Math.abs(ts - 2000) < 1 && Math.abs(dur - 1000) < 1, `${ts} for ${dur} µs`);
  assert.equal(trace.otherData.page_clock_error_us, 500);
  assert.equal(trace.otherData.model, info.name);
  const kv = trace.traceEvents.filter(({ ph, name }) => ph === "C" && name === "KV cache bytes");
  assert.deepEqual(kv.map(({ args }) => args.value), [1, 2, 3, 4, 5, 6].map((token) => 100 * (FIRST.ids.length + token)));
  session.free();
});

test("the page's clock is taken from both origins, unless messages contradict it", () => {
  const agreed = chooseClock({ least: 9.5, most: 10.25, byOrigin: 10 });
  assert.deepEqual(agreed, { offset: 10, error: 0.5, by: "performance.timeOrigin" });
  const skewed = chooseClock({ least: 9.5, most: 10.5, byOrigin: 25 });
  assert.deepEqual(skewed, { offset: 10, error: 0.5, by: "messages" });
  const coarse = chooseClock({ least: 10.1, most: 10, byOrigin: 0 }); /* bounds of a clock with steps may cross */
  assert.ok(coarse.error > 0 && Math.abs(coarse.offset - 10.05) < 1e-9, JSON.stringify(coarse));
});
