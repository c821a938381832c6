/* profile.spec.mjs: kernels measured on the chat page, and the trace that it saves, in a real Chromium. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { ask, GOLDEN, MODEL, openPage, phase, REAL, run, serve, sharedBrowser } from "./helpers.mjs";

const shared = sharedBrowser();
const [FIRST] = GOLDEN.prompts;
const MAX_TOKENS = 120; /* some 100 ms: on a busy machine a worker comes late */

const ns = (event, key) => Math.round(event[key] * 1000);
const endOf = (event) => ns(event, "ts") + ns(event, "dur");
const holds = (outer, inner) => ns(outer, "ts") <= ns(inner, "ts") && endOf(inner) <= endOf(outer);

/* A clock of 5 µs puts what is shorter at the begin or the end of what holds it, or that far outside. */
const CLOCK_STEP_NS = 5000;
const MOST_ERROR_US = 10_000; /* a thread may wait for its core as long as a time slice lasts; 15 to 30 when idle */

function assertNests(spans, slack) {
  const stack = [];
  for (const event of [...spans].sort((a, b) => ns(a, "ts") - ns(b, "ts") || ns(b, "dur") - ns(a, "dur"))) {
    assert.ok(event.dur >= 0 && event.ts >= 0, JSON.stringify(event));
    while (stack.length > 0 && stack.at(-1) <= ns(event, "ts") + slack) stack.pop();
    const end = endOf(event);
    assert.ok(stack.length === 0 || end <= stack.at(-1) + slack, `${JSON.stringify(event)} in ${stack.at(-1)}`);
    stack.push(end);
  }
}

/** Bytes of the ternary weights, of rows padded to 128 and in groups of 16; of the shipped model they are. */
async function ternaryBytes() {
  const { stdout } = await run("inspect", MODEL, "--json");
  const tensors = JSON.parse(stdout).tensors.filter(({ is_ternary }) => is_ternary);
  assert.ok(tensors.length > 0 && tensors.every(({ ne }) => ne[0] % 128 === 0 && ne[1] % 16 === 0));
  return tensors.reduce((sum, { ne }) => sum + (ne[0] * ne[1]) / 4, 0);
}

async function openProfiled(t, query) {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=${MAX_TOKENS}${query}`);
  await phase(page, "ready");
  await page.click("#profile summary");
  await page.click("#profile-toggle");
  await page.locator("#profile-save:enabled").waitFor({ timeout: 60_000 });
  return page;
}

async function saveTrace(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#profile-save")]);
  assert.equal(download.suggestedFilename(), "trace.json");
  return JSON.parse(await readFile(await download.path(), "utf8"));
}

test("the page saves a trace of all threads on one clock, whose bytes are the model's", REAL, async (t) => {
  const page = await openProfiled(t, "&threads=2");
  const bounds = /^This device, on 2 threads: [\d.,]+ [MG]B\/s, [\d.,]+ G multiply-adds a second\.$/;
  assert.match(await page.locator("#profile-status").textContent(), bounds);
  const answer = await ask(page, FIRST.text);
  assert.ok(answer.startsWith(FIRST.greedy40_text), answer);
  const { traceEvents, otherData, displayTimeUnit } = await saveTrace(page);
  assert.equal(displayTimeUnit, "ns");

  const named = new Map(traceEvents.filter(({ ph }) => ph === "M").map((e) => [e.tid, e.args.name]));
  assert.deepEqual(Object.fromEntries(named), { 0: "libbitnet", 1: "engine", 2: "worker 1", 1000: "page" });
  const spans = traceEvents.filter(({ ph }) => ph === "X");
  const active = [...new Set(spans.map(({ tid }) => tid))].sort((a, b) => a - b);
  assert.deepEqual(active, [1, 2, 1000], "every thread did something");
  assert.equal(otherData.dropped_spans, 0);
  assert.equal(otherData.cut_events, 0);

  const by = (tid, cat) => spans.filter((e) => e.tid === tid && e.cat === cat);
  assertNests(spans.filter(({ tid }) => tid === 1), CLOCK_STEP_NS);
  assertNests(spans.filter(({ tid }) => tid === 2), CLOCK_STEP_NS);
  assertNests(spans.filter(({ tid }) => tid === 1000), CLOCK_STEP_NS);
  assert.ok(by(2, "slice").length > 10 && by(2, "wait").length > 10, "work and waiting of the worker");

  const steps = by(1, "decode");
  const kernels = by(1, "kernel");
  const wanted = await ternaryBytes();
  let whole = 0;
  for (const step of steps) {
    const inside = kernels.filter((kernel) => holds(step, kernel));
    const ternary = inside.filter(({ name }) => name.startsWith("tern_matmul."));
    if (inside.length === 0 || step.args.tokens) continue;
    const forwards = by(1, "forward").filter((forward) => holds(step, forward));
    if (forwards.length !== 1) continue; /* a token that was guessed: nothing is computed */
    const sum = inside.reduce((total, kernel) => total + ns(kernel, "dur"), 0);
    assert.ok(sum <= ns(step, "dur") + CLOCK_STEP_NS, `kernels of ${sum} ns in a step of ${ns(step, "dur")}`);
    assert.equal(ternary.reduce((total, { args }) => total + args.bytes, 0), wanted);
    whole++;
  }
  assert.ok(whole >= 10, `${whole} of ${steps.length} steps computed a token`);

  /* a slice of the worker lies within an operation, as far as the clocks can tell */
  const [, workerError] = otherData.clock_error_us;
  const slack = Math.ceil(workerError * 1000) + 2 * CLOCK_STEP_NS;
  for (const slice of by(2, "slice")) {
    const [begin, end] = [ns(slice, "ts") + slack, endOf(slice) - slack];
    const outer = kernels.some((kernel) => ns(kernel, "ts") <= begin && end <= endOf(kernel));
    assert.ok(outer, `${JSON.stringify(slice)} lies in no operation, within ${slack} ns`);
  }
  const { page_clock_error_us: pageError, clock_resolution_us: step } = otherData;
  assert.ok(workerError < MOST_ERROR_US, `the worker's clock is known to ${workerError} µs`);
  assert.ok(pageError < MOST_ERROR_US, `the page's clock is known to ${pageError} µs`);
  assert.ok(step > 0 && step <= 110, `the clock's step is ${step} µs`);

  assert.ok(by(1000, "page").some(({ name }) => name === "request generate"));
  const received = by(1000, "page").filter(({ name }) => name === "receive tokens");
  const sent = by(1, "message").filter(({ name }) => name === "send tokens");
  assert.ok(sent.length > 0 && received.length === sent.length, `${sent.length} sent, ${received.length} received`);
  const late = Math.ceil(pageError * 1000) + CLOCK_STEP_NS;
  received.forEach((event, i) => {
    assert.ok(endOf(event) + late >= ns(sent[i], "ts"), "a message is received after it was sent");
  });
  const asked = traceEvents.filter(({ ph, name }) => "be".includes(ph) && name === "generate");
  assert.deepEqual(asked.map(({ ph }) => ph), ["b", "e"], "the request, from the page's side");
  const [begin, end] = asked.map((event) => ns(event, "ts"));
  assert.ok(steps.every((step) => ns(step, "ts") + late >= begin && endOf(step) <= end + late), "it holds all steps");
  const counters = new Set(traceEvents.filter(({ ph }) => ph === "C").map(({ name }) => name));
  assert.deepEqual([...counters].sort(), ["KV cache bytes", "heap bytes", "tokens/s"]);
  page.assertClean();
});

test("the panel tells the kernels' shares, and a page that measures nothing shows none", REAL, async (t) => {
  const page = await openProfiled(t, "");
  await ask(page, FIRST.text);
  await page.locator("#kernels tbody").first().waitFor();
  const rows = await page.locator("#kernels tbody tr:not(.phase)").evaluateAll((list) =>
    list.map((tr) => [...tr.cells].map((cell) => cell.textContent)),
  );
  const phases = await page.locator("#kernels .phase").allTextContents();
  assert.deepEqual(phases, ["Answering", "Reading the prompt"]);
  const ffn = rows.filter(([kernel]) => kernel === "tern_matmul.ffn_gate_up");
  assert.equal(ffn.length, 2);
  for (const [kernel, time, call, memory, roofline] of ffn) {
    assert.match(time, /^[\d.]+ %$/, kernel);
    assert.match(call, /^[\d.]+ (µs|ms)$/, kernel);
    assert.match(memory, /^[\d.,]+ [MG]B\/s$/, kernel);
    assert.match(roofline, /^[\d.,]+ %$/, kernel);
  }
  await page.click("#profile-toggle");
  await page.locator("#profile-save:disabled").waitFor();
  const before = await page.locator("#kernels").textContent();
  await ask(page, FIRST.text);
  assert.equal(await page.locator("#kernels").textContent(), before, "nothing is measured any more");
  page.assertClean();
});

test("a trace that grows too long is cut, and one profile is open at a time", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, server.url);
  await phase(page, "ready");
  const got = await page.evaluate(async () => {
    const { load } = await import(new URL("lib/index.js", document.baseURI).href);
    const model = await load(new URL("models/bitnet-tales.gguf", document.baseURI).href, { threads: 1 });
    const errorOf = (promise) => promise.then(() => "none", (error) => error.code);
    const profile = await model.profile({ maxEvents: 50 });
    const second = await errorOf(model.profile());
    await model.generate("Once", { maxTokens: 8, temp: 0 }).result;
    const trace = JSON.parse(await (await profile.trace()).text());
    await profile.stop();
    const [closed, wrong] = [await errorOf(profile.trace()), await errorOf(model.profile({ maxEvents: 0 }))];
    await model.dispose();
    const events = trace.traceEvents.filter(({ ph, tid }) => ph !== "M" && tid !== 1000);
    return { second, closed, wrong, cut: trace.otherData.cut_events, n: events.length };
  });
  assert.deepEqual([got.second, got.closed, got.wrong], ["profile.busy", "profile.closed", "options"]);
  assert.equal(got.n, 50);
  assert.ok(got.cut > 100, `${got.cut} events were left out`);
  page.assertClean();
});
