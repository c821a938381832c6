// chromium.test.mjs: the npm package in a real browser, called as any page would: worker, threads, every tier.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { openPage, REAL, sharedBrowser } from "../browser/helpers.mjs";
import { GOLDEN, MODEL, ROOT } from "./module.mjs";

const DIST = fileURLToPath(new URL("dist/", ROOT));
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>test</title>
<script type="module">
  import * as lib from "./lib/index.js";
  window.lib = lib;
  window.codeOf = (promise) => promise.then(() => "no error", (e) => [e.name, e.code ?? "", e.message].join("|"));
</script>`;

const HEAP_CHANGE = 3; /* times: a heap grows and is collected between two looks */

/* measureUserAgentSpecificMemory would wait for a garbage collection, some twenty seconds */
const browser = sharedBrowser("--enable-blink-features=ForceEagerMeasureMemory");

/** The package under /lib, models beside it; isolated, as threads need it, unless told otherwise. */
async function openLibrary(t, { isolated = true, begin = "", files = {} } = {}) {
  const special = {
    ...files,
    "/": (res) => res.setHeader("Content-Type", "text/html").end(begin + PAGE),
    "/model.gguf": (res) => res.setHeader("Content-Length", MODEL.length).end(MODEL),
    "/page.gguf": (res) => res.end("<!doctype html><title>not a model</title>"),
    "/cut.gguf": (res) => res.end(MODEL.subarray(0, 1_000_000)),
    "/stuck.gguf": (res) => res.setHeader("Content-Length", MODEL.length).write(MODEL.subarray(0, 1_000_000)),
  };
  const server = http.createServer((req, res) => {
    if (isolated) res.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    if (isolated) res.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    const name = req.url.split("?")[0];
    if (special[name]) return special[name](res);
    try {
      const [, file] = /^\/(?:lib|elsewhere)\/([\w.-]+)$/.exec(name);
      const bytes = readFileSync(path.join(DIST, file));
      res.setHeader("Content-Type", TYPES[path.extname(name)] ?? "application/octet-stream").end(bytes);
    } catch {
      res.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const page = await openPage(t, browser, `http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction("window.lib");
  return page;
}

for (const tier of ["c", "simd128", "relaxed"]) {
  for (const threads of [1, 2]) {
    test(`tier ${tier} with ${threads} thread(s) gives the golden tokens, one by one`, REAL, async (t) => {
      const page = await openLibrary(t);
      const { info, answers, progress, ids } = await page.evaluate(
        async ({ options, prompts }) => {
          const progress = [];
          const model = await lib.load("model.gguf", { ...options, onProgress: (p) => progress.push(p) });
          const answers = [];
          for (const prompt of prompts) {
            const generation = model.generate(prompt, { maxTokens: 40, temp: 0 });
            const streamed = [];
            for await (const token of generation) streamed.push(token);
            answers.push({ ...(await generation.result), streamed });
          }
          const ids = await model.tokenize(prompts[0]);
          await model.dispose();
          return { info: model.info, answers, progress, ids };
        },
        { options: { tier, threads }, prompts: GOLDEN.prompts.map(({ text }) => text) },
      );
      GOLDEN.prompts.forEach((golden, i) => {
        const { streamed, ...answer } = answers[i];
        assert.deepEqual(answer.tokenIds, golden.greedy40);
        assert.deepEqual(answer.promptTokenIds, golden.ids);
        assert.equal(answer.text, golden.greedy40_text);
        assert.equal(answer.finishReason, "length");
        assert.deepEqual(streamed.map(({ token }) => token), golden.greedy40);
        assert.equal(streamed.map(({ text }) => text).join(""), golden.greedy40_text);
        assert.ok(answer.timings.ttft_s > 0 && answer.timings.e2e_s > answer.timings.ttft_s);
      });
      assert.deepEqual(ids, GOLDEN.prompts[0].ids);
      assert.deepEqual([info.tier, info.threads, info.name], [tier, threads, "bitnet-tales"]);
      const { phase, loaded, total } = progress.at(-1);
      assert.deepEqual([phase, loaded, total], ["prepare", MODEL.length, MODEL.length]);
      page.assertClean();
    });
  }
}

test("left to itself it takes the relaxed tier and says why; two models share a page", REAL, async (t) => {
  const page = await openLibrary(t);
  const [one, two] = await page.evaluate(async (prompts) => {
    const models = await Promise.all([lib.load("model.gguf"), lib.load("model.gguf", { nCtx: 64 })]);
    const results = await Promise.all(models.map((m, i) => m.generate(prompts[i], { maxTokens: 40, temp: 0 }).result));
    return models.map(({ info }, i) => ({ info, ids: results[i].tokenIds }));
  }, GOLDEN.prompts.map(({ text }) => text));
  assert.equal(one.info.tier, "relaxed");
  assert.match(one.info.tierReason, /self-test/);
  assert.deepEqual([one.info.nCtx, two.info.nCtx], [512, 64]);
  assert.deepEqual([one.ids, two.ids], GOLDEN.prompts.slice(0, 2).map(({ greedy40 }) => greedy40));
});

test("without isolation it runs on one thread, and says what is missing", REAL, async (t) => {
  const page = await openLibrary(t, { isolated: false });
  const { info, ids } = await page.evaluate(async (prompt) => {
    const model = await lib.load("model.gguf", { threads: 4 });
    return { info: model.info, ids: (await model.generate(prompt, { maxTokens: 40, temp: 0 }).result).tokenIds };
  }, GOLDEN.prompts[0].text);
  assert.equal(info.threads, 1);
  assert.match(info.threadsReason, /not cross-origin isolated/);
  assert.deepEqual(ids, GOLDEN.prompts[0].greedy40);
});

test("the service worker of docs/embedding.md isolates a page whose host sends no headers", REAL, async (t) => {
  const docs = readFileSync(new URL("docs/embedding.md", ROOT), "utf8");
  const block = (what) => [...docs.matchAll(/```js\n(.*?)```/gs)].find(([, code]) => code.includes(what))[1];
  const worker = block('addEventListener("fetch"');
  const page = await openLibrary(t, {
    isolated: false,
    begin: `<!doctype html><script type="module">${block("serviceWorker.register(")}</script>`,
    files: { "/isolate.js": (res) => res.setHeader("Content-Type", "text/javascript").end(worker) },
  });
  await page.waitForFunction("window.lib && crossOriginIsolated");
  const { info, ids } = await page.evaluate(async (prompt) => {
    const model = await lib.load("model.gguf", { threads: 2 });
    return { info: model.info, ids: (await model.generate(prompt, { maxTokens: 40, temp: 0 }).result).tokenIds };
  }, GOLDEN.prompts[0].text);
  assert.equal(info.threads, 2, info.threadsReason);
  assert.deepEqual(ids, GOLDEN.prompts[0].greedy40);
  page.assertClean();
});

test("a File, an ArrayBuffer and another base for the modules work as a URL does", REAL, async (t) => {
  const page = await openLibrary(t);
  const names = await page.evaluate(async () => {
    const bytes = await (await fetch("model.gguf")).arrayBuffer();
    const models = [
      await lib.load(new File([bytes], "a.gguf")),
      await lib.load(bytes),
      await lib.load(new URL("model.gguf", location.href), { baseUrl: "elsewhere/" }),
      await lib.load("model.gguf", { baseUrl: "elsewhere" }),
      await lib.load("model.gguf", { wasmUrl: new URL("elsewhere?v=2", location.href) }),
    ];
    return [bytes.byteLength, ...models.map(({ info }) => info.name)];
  });
  assert.deepEqual(names, [MODEL.length, ...Array(5).fill("bitnet-tales")]);
});

test("an answer can be stopped by its signal and by leaving the loop; the model goes on", REAL, async (t) => {
  const page = await openLibrary(t);
  const seen = await page.evaluate(async (prompt) => {
    const model = await lib.load("model.gguf");
    const controller = new AbortController();
    const first = model.generate(prompt, { signal: controller.signal, temp: 0 });
    let n = 0;
    for await (const _ of first) if (++n === 5) controller.abort();
    const second = model.generate(prompt, { temp: 0 });
    for await (const _ of second) break;
    const results = [await first.result, await second.result];
    const next = await model.generate(prompt, { maxTokens: 40, temp: 0 }).result;
    return { reasons: results.map((r) => r.finishReason), kept: results[0].tokenIds, next: next.tokenIds };
  }, GOLDEN.prompts[0].text);
  assert.deepEqual(seen.reasons, ["cancelled", "cancelled"]);
  assert.ok(seen.kept.length >= 5, `${seen.kept.length} tokens`);
  assert.deepEqual(seen.kept.slice(0, 40), GOLDEN.prompts[0].greedy40.slice(0, seen.kept.length));
  assert.deepEqual(seen.next, GOLDEN.prompts[0].greedy40);
});

for (const isolated of [true, false]) {
  const where = isolated ? "an isolated page, by its flag" : "any other page, by a message";
  test(`a stop in ${where}, ends an answer, a long prompt and an evaluation; the model goes on`, REAL, async (t) => {
    const page = await openLibrary(t, { isolated });
    const seen = await page.evaluate(async (prompt) => {
      const model = await lib.load("model.gguf", { threads: 1 });
      const long = (prompt + ". ").repeat(60);
      let n = 0;
      const answer = model.generate(prompt, { temp: 0, onToken: () => ++n === 3 && answer.cancel() });
      const cancelled = (await answer.result).finishReason;
      const stopped = model.generate(long, { temp: 0 });
      stopped.cancel();
      const { finishReason, usage } = await stopped.result;
      const controller = new AbortController();
      const onProgress = () => controller.abort();
      const evaluation = await codeOf(model.perplexity(long.repeat(9), { signal: controller.signal, onProgress }));
      const next = await model.generate(prompt, { maxTokens: 40, temp: 0 }).result;
      return { flagged: crossOriginIsolated, cancelled, finishReason, usage, evaluation, next: next.tokenIds };
    }, GOLDEN.prompts[0].text);
    assert.equal(seen.flagged, isolated);
    assert.deepEqual([seen.cancelled, seen.finishReason], ["cancelled", "cancelled"]);
    assert.equal(seen.usage.completionTokens, 0);
    assert.match(seen.evaluation, /^AbortError\|/);
    assert.deepEqual(seen.next, GOLDEN.prompts[0].greedy40);
  });
}

test("a state goes from one model of a page to another, with threads", REAL, async (t) => {
  const page = await openLibrary(t);
  const seen = await page.evaluate(async (prompt) => {
    const [one, other] = [await lib.load("model.gguf", { threads: 2 }), await lib.load("model.gguf", { threads: 1 })];
    await one.generate(prompt, { maxTokens: 1, temp: 0 }).result;
    await other.loadState(await one.saveState());
    const talk = [{ role: "user", content: prompt }];
    const { tokenIds, usage } = await other.generate(talk, { maxTokens: 40, temp: 0 }).result;
    const { nTokens } = await one.perplexity(prompt.repeat(20));
    return { tokenIds, cached: usage.cachedTokens, nTokens, text: await one.detokenize(tokenIds) };
  }, GOLDEN.prompts[0].text);
  assert.deepEqual(seen.tokenIds, GOLDEN.prompts[0].greedy40);
  assert.equal(seen.text, GOLDEN.prompts[0].greedy40_text);
  assert.equal(seen.cached, GOLDEN.prompts[0].ids.length - 1);
  assert.ok(seen.nTokens > 50);
});

test("reports come to a callback of the page while it generates, and a bye at the end", REAL, async (t) => {
  const page = await openLibrary(t);
  const types = await page.evaluate(async (prompt) => {
    const types = [];
    const model = await lib.load("model.gguf", { track: { onReport: ({ type }) => types.push(type) } });
    await model.generate(prompt, { maxTokens: 300, temp: 0 }).result;
    await model.dispose();
    return types;
  }, GOLDEN.prompts[0].text);
  assert.deepEqual([types[0], types[1], types.at(-1)], ["hello", "window", "bye"]);
});

/** Loads a tracked model, generates, and gives back what was reported of some metrics once `wanted` were. */
const reportsOf = (page, wanted, leave = []) =>
  page.evaluate(
    async ({ wanted, leave, prompt }) => {
      for (const name of leave) delete Performance.prototype[name];
      let reports;
      const { collect } = await import("./lib/tracker.js");
      const whole = new Promise((resolve) => {
        reports = collect(() => wanted.every((name) => reports?.metric(name)) && resolve());
      });
      const model = await lib.load("model.gguf", { track: reports, threads: 1 });
      const { tokenIds } = await model.generate(prompt, { maxTokens: 40, temp: 0 }).result;
      await whole;
      await model.dispose();
      const names = ["js_heap", "memory", "threads"];
      const last = Object.fromEntries(names.map((name) => [name, reports.metric(name)?.last]));
      return { tokenIds, isIsolated: crossOriginIsolated, bytes: performance.memory?.usedJSHeapSize, ...last };
    },
    { wanted, leave, prompt: GOLDEN.prompts[0].text },
  );

test("a page that is not isolated reports its JavaScript heap as Chromium counts it", REAL, async (t) => {
  const page = await openLibrary(t, { isolated: false });
  const seen = await reportsOf(page, ["js_heap", "memory", "threads"]);
  assert.equal(seen.isIsolated, false);
  const change = Math.max(seen.js_heap / seen.bytes, seen.bytes / seen.js_heap);
  assert.ok(seen.bytes > 0 && change <= HEAP_CHANGE, `${seen.js_heap}, then ${seen.bytes}`);
  assert.equal(seen.threads, 1);
  assert.ok(seen.memory >= 8 << 20);
});

test("an isolated page reports the JavaScript heap of page and worker as the browser measures it", REAL, async (t) => {
  const page = await openLibrary(t);
  const seen = await reportsOf(page, ["js_heap"], ["memory"]);
  assert.equal(seen.isIsolated, true);
  assert.ok(seen.js_heap > 100_000 && seen.js_heap < 100_000_000, `${seen.js_heap} bytes`);
});

test("a browser that tells nothing about memory generates and reports the rest", REAL, async (t) => {
  const page = await openLibrary(t);
  const seen = await reportsOf(page, ["memory", "threads"], ["memory", "measureUserAgentSpecificMemory"]);
  assert.deepEqual(seen.tokenIds, GOLDEN.prompts[0].greedy40);
  assert.equal(seen.js_heap, undefined);
  assert.equal(seen.threads, 1);
});

test("a sampled answer is repeated by the seed it names", REAL, async (t) => {
  const page = await openLibrary(t);
  const [first, again, other] = await page.evaluate(async () => {
    const model = await lib.load("model.gguf");
    const write = (seed) => model.generate("Once upon a time", { maxTokens: 30, temp: 0.9, seed }).result;
    const first = await write(undefined);
    return [first, await write(first.seed), await write("18446744073709551615")];
  });
  assert.match(first.seed, /^\d+$/);
  assert.equal(again.text, first.text);
  assert.equal(other.seed, "18446744073709551615");
  assert.notEqual(other.text, first.text);
});

const REFUSED = [
  ["a missing file", "missing.gguf", {}, /^BitnetError\|fetch\.http\|.*\.gguf: the server answered 404 Not Found\.$/],
  ["a web page", "page.gguf", {}, /^BitnetError\|gguf\.magic\|/],
  ["a cut file", "cut.gguf", {}, /^BitnetError\|gguf\.tensor\.extent\|/],
  ["a window too large for the heap", "model.gguf", { nCtx: 1 << 20 }, /^BitnetError\|session\.memory\|.* of which its file is 3\.8 MB/],
  ["a tier there is not", "model.gguf", { tier: "avx2" }, /^BitnetError\|options\|.*"avx2".*c, simd128 or relaxed/],
  ["no thread at all", "model.gguf", { threads: 0 }, /^BitnetError\|options\|.*from 1 to 64/],
  ["a hub that is no websocket", "model.gguf", { track: { url: "http://x" } }, /^BitnetError\|track\.url\|/],
  ["a base without a worker", "model.gguf", { baseUrl: "nowhere/" }, /^BitnetError\|worker\.failed\|/],
];
for (const [what, source, options, expected] of REFUSED) {
  test(`${what} is refused with a code and a sentence`, REAL, async (t) => {
    const page = await openLibrary(t);
    const found = await page.evaluate(([s, o]) => codeOf(lib.load(s, o)), [source, options]);
    assert.match(found, expected);
  });
}

test("requests that cannot be answered are refused one by one", REAL, async (t) => {
  const page = await openLibrary(t);
  const found = await page.evaluate(async () => {
    const model = await lib.load("model.gguf", { nCtx: 32 });
    const codes = [];
    codes.push(await codeOf(model.generate("word ".repeat(40)).result));
    codes.push(await codeOf(model.generate("Once", { topP: 2 }).result));
    codes.push(await codeOf((async () => model.generate("Once", { seed: 0.5 }))()));
    codes.push(await codeOf((async () => model.generate("Once", { maxTokens: 0 }))()));
    codes.push(await codeOf(model.generate("Once", { maxTokens: 2 }).result));
    const pending = model.generate("Once", { temp: 1 });
    const afterwards = codeOf(pending.result);
    await model.dispose();
    await model.dispose();
    codes.push(await afterwards, await codeOf(model.generate("Once").result));
    return codes.map((text) => text.split("|")[1] ?? text);
  });
  const disposed = ["model.disposed", "model.disposed"];
  assert.deepEqual(found, ["request.too_long", "sampler.range", "options", "options", "no error", ...disposed]);
});

test("loading can be aborted while the download is stuck", REAL, async (t) => {
  const page = await openLibrary(t);
  const found = await page.evaluate(async () => {
    const controller = new AbortController();
    const arrived = new Promise((resolve) => (window.onArrived = resolve));
    const onProgress = ({ loaded }) => loaded > 0 && window.onArrived();
    const loading = codeOf(lib.load("stuck.gguf", { signal: controller.signal, onProgress }));
    await arrived;
    controller.abort();
    const early = codeOf(lib.load("model.gguf", { signal: AbortSignal.abort() }));
    return [await loading, await early];
  });
  for (const text of found) assert.match(text, /^AbortError\|/);
});
