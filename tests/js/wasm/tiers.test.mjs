// tiers.test.mjs: what runs in a real browser that lacks something, or computes wrongly: the next best, with the
// golden tokens, and a sentence that says why; and what is predicted of a model there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_ARGS, openPage, REAL, sharedBrowser } from "../browser/helpers.mjs";
import { GOLDEN, MODEL, ROOT } from "./module.mjs";

const DIST = fileURLToPath(new URL("dist/", ROOT));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>test</title>
<script type="module">
  import * as lib from "./lib/index.js";
  window.lib = lib;
</script>`;

/** A module whose self-test fails from its nth call on. */
const wrongFrom = (n) => (name) => `
  import create from "../lib/${name}";
  export default async (init) => {
    const glue = await create(init);
    const slot = glue._malloc(6);
    new Uint8Array(init.wasmMemory.buffer).set(new TextEncoder().encode("scan6\\0"), slot);
    let n = 0;
    return { ...glue, _bitnet_selftest: (...args) => (++n >= ${n} ? slot : glue._bitnet_selftest(...args)) };
  };`;

/* Folders beside lib with one file changed; the worker's globals cannot be changed from a page. */
const CHANGED = {
  "/unshared/worker.js": () => `delete globalThis.SharedArrayBuffer;\n${readFileSync(path.join(DIST, "worker.js"))}`,
  "/lying/worker.js": () =>
    `Object.defineProperty(navigator, "hardwareConcurrency", { value: 8 });
${readFileSync(path.join(DIST, "worker.js"))}`,
  "/wrong/bitnet-relaxed.mjs": wrongFrom(1),
  "/wrong/bitnet-relaxed-mt.mjs": wrongFrom(1),
  "/warm/bitnet-relaxed.mjs": wrongFrom(2),
};

async function openLibrary(t, browser) {
  const server = http.createServer((req, res) => {
    res.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    res.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (req.url === "/") return res.setHeader("Content-Type", "text/html").end(PAGE);
    const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? "");
    if (req.url === "/model.gguf" && range) {
      const part = MODEL.subarray(Number(range[1]), Number(range[2]) + 1);
      server.sent += part.length;
      const place = `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${MODEL.length}`;
      return res.writeHead(206, { "Content-Range": place }).end(part);
    }
    if (req.url === "/model.gguf") return res.setHeader("Content-Length", MODEL.length).end(MODEL);
    try {
      const [, file] = /^\/\w+\/([\w.-]+)$/.exec(req.url);
      const body = CHANGED[req.url]?.(file) ?? readFileSync(path.join(DIST, file));
      res.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream").end(body);
    } catch {
      res.writeHead(404).end();
    }
  });
  server.sent = 0;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const page = await openPage(t, browser, `http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction("window.lib");
  page.sent = () => server.sent;
  return page;
}

/** What runs with these options, and its greedy answers. */
function answer(page, options, prompts = GOLDEN.prompts.map(({ text }) => text)) {
  return page.evaluate(
    async ([options, prompts]) => {
      const model = await lib.load("model.gguf", options);
      const answers = [];
      for (const prompt of prompts) {
        answers.push((await model.generate(prompt, { maxTokens: 40, temp: 0 }).result).tokenIds);
      }
      await model.dispose();
      return { info: model.info, answers };
    },
    [options, prompts],
  );
}

const GOLDEN_TOKENS = GOLDEN.prompts.map(({ greedy40 }) => greedy40);
const shared = sharedBrowser();

test("a browser without SIMD gets plain code, the golden tokens and a reason", REAL, async (t) => {
  /* V8 gives no SIMD to a CPU without SSE4.1, and lets one be imitated. */
  const args = [...CHROMIUM_ARGS, "--js-flags=--no-enable-sse4-1"];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  t.after(() => browser.close());
  const page = await openLibrary(t, { browser });
  const { info, answers } = await answer(page, {});
  assert.equal(info.tier, "c");
  assert.equal(info.tierReason, "This browser has no WebAssembly SIMD: plain code runs, several times slower.");
  assert.deepEqual(answers, GOLDEN_TOKENS);
  const refused = await page.evaluate(() => lib.load("model.gguf", { tier: "simd128" }).catch((e) => e.code));
  assert.equal(refused, "wasm.tier");
  page.assertClean();
});

test("an isolated page without SharedArrayBuffer runs on one thread and says why", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const { info, answers } = await answer(page, { baseUrl: "unshared/", threads: 2 });
  assert.equal(info.threads, 1);
  assert.equal(info.threadsReason, "This browser gives WebAssembly no shared memory, which threads need.");
  assert.deepEqual(answers, GOLDEN_TOKENS);
  page.assertClean();
});

for (const threads of [1, 2]) {
  test(`a module that errs at its start gives way to the next tier: ${threads} thread(s)`, REAL, async (t) => {
    const page = await openLibrary(t, shared);
    const { info, answers } = await answer(page, { baseUrl: "wrong/", threads });
    assert.deepEqual([info.tier, info.threads], ["simd128", threads]);
    assert.equal(info.tierReason, "This browser computes wrongly in the tier relaxed (scan6).");
    assert.deepEqual(answers, GOLDEN_TOKENS);
    page.assertClean();
  });
}

test("the tier that was asked for is refused when its module computes wrongly", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const found = await page.evaluate(() => {
    return lib.load("model.gguf", { baseUrl: "wrong/", tier: "relaxed" }).catch((e) => `${e.code}|${e.message}`);
  });
  assert.equal(found, "wasm.selftest|This browser computes wrongly in the tier relaxed (scan6).");
});

test("a module that begins to compute wrongly ends the model with a code", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const codes = await page.evaluate(async () => {
    const model = await lib.load("model.gguf", { baseUrl: "warm/", threads: 1 });
    const answer = () => model.generate("Once", { maxTokens: 400, temp: 1 }).result.then(() => "", (e) => e.code);
    let first = "";
    for (let i = 0; i < 50 && first === ""; i++) first = await answer();
    return [first, await answer()];
  });
  assert.deepEqual(codes, ["wasm.selftest", "wasm.selftest"]);
});

test("left to itself it takes the threads that a probe found to pay, and says what they read", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const { info, answers } = await answer(page, {});
  assert.equal(info.tier, "relaxed");
  assert.ok(info.threads >= 1 && info.threads <= 8, String(info.threads));
  assert.match(info.threadsReason, /^In a short probe .* 1 at [\d.]+ GB\/s, 2 at .*: \d is enough\.$/);
  assert.deepEqual(answers, GOLDEN_TOKENS);
  page.assertClean();
});

test("a browser that tells of eight cores gets as many threads as were measured to pay", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const { info, answers } = await answer(page, { baseUrl: "lying/" });
  const rate = "([\\d.]+) GB/s";
  const found = new RegExp(` 1 at ${rate}, 2 at ${rate}, 4 at ${rate}, 8 at ${rate}: (\\d) is enough\\.$`);
  const [, ...numbers] = found.exec(info.threadsReason) ?? assert.fail(info.threadsReason);
  const chosen = Number(numbers.pop());
  const rates = numbers.map(Number);
  const atChosen = rates[Math.log2(chosen)];
  assert.equal(info.threads, chosen);
  assert.ok(atChosen >= 0.95 * Math.max(...rates) - 0.1, info.threadsReason);
  const fewer = rates.slice(1, Math.log2(chosen)); /* more than one */
  assert.ok(fewer.every((rate) => rate < atChosen), info.threadsReason);
  assert.deepEqual(answers, GOLDEN_TOKENS);
  page.assertClean();
});

test("a prediction has ranges, memory and reasons, and reads the header only", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const predictions = await page.evaluate(async () => {
    const file = new File([await (await fetch("model.gguf")).arrayBuffer()], "a.gguf");
    return [
      await lib.predict("model.gguf", { nCtx: 256 }),
      await lib.predict(file, { tier: "c", threads: 1 }),
    ];
  });
  for (const { model, memory, tokensPerSecond, promptTokensPerSecond, probe, ...rest } of predictions) {
    assert.deepEqual([model.arch, model.name, model.fileSize], ["bitnet-b1.58", "bitnet-tales", MODEL.length]);
    assert.ok(memory.needed > MODEL.length && memory.needed < 20 * MODEL.length, String(memory.needed));
    assert.ok(memory.fits);
    for (const { low, expected, high } of [tokensPerSecond, promptTokensPerSecond]) {
      assert.ok(0 < low && low < expected && expected < high && Number.isFinite(high), `${low} ${expected} ${high}`);
    }
    for (const [name, value] of Object.entries(probe)) assert.ok(value > 0 && Number.isFinite(value), name);
    for (const text of [memory.text, rest.text, rest.tierReason, rest.threadsReason]) assert.match(text, /\.$/);
  }
  const [first, second] = predictions;
  assert.deepEqual([first.tier, first.model.nCtx], ["relaxed", 256]);
  assert.deepEqual([second.tier, second.threads, second.model.nCtx], ["c", 1, 512]);
  assert.ok(page.sent() > 0 && page.sent() < MODEL.length / 2, `${page.sent()} bytes were sent in ranges`);
  page.assertClean();
});

test("what cannot be predicted is refused as load would refuse it; an abort ends it", REAL, async (t) => {
  const page = await openLibrary(t, shared);
  const codes = await page.evaluate(async () => {
    const codeOf = (promise) => promise.then(() => "", (e) => e.code ?? e.name);
    const controller = new AbortController();
    const aborted = codeOf(lib.predict("model.gguf", { signal: controller.signal }));
    controller.abort();
    return [
      await codeOf(lib.predict("missing.gguf")),
      await codeOf(lib.predict(new Blob(["<!doctype html><title>no model</title>"]))),
      await codeOf(lib.predict("model.gguf", { nCtx: 0 })),
      await codeOf(lib.predict(new Blob([]).stream())),
      await codeOf(lib.predict(["model.gguf"])),
      (await aborted) === DOMException.ABORT_ERR,
    ];
  });
  assert.deepEqual(codes, ["fetch.http", "gguf.magic", "options", "options", "options", true]);
});
