/* chat.spec.mjs: the chat page in a real Chromium, with the real model, server and WebAssembly. */
import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import {
  ask,
  GOLDEN,
  MODEL,
  openPage,
  phase,
  REAL,
  run,
  serve,
  sharedBrowser,
  temporaryFolder,
  WEB_ROOT,
} from "./helpers.mjs";

const shared = sharedBrowser();

const [FIRST] = GOLDEN.prompts;

test("the page loads the model with progress, answers, and shows its numbers", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, "about:blank");
  await page.addInitScript(() => {
    window.seen = new Set();
    new MutationObserver(() => {
      const bar = document.getElementById("progress");
      if (bar?.hasAttribute("value")) window.seen.add(bar.value);
      const amount = document.getElementById("amount")?.textContent;
      if (amount) window.amount = amount;
    }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  await page.goto(`${server.url}?temp=0&max=40`);
  await phase(page, "ready");

  const progress = await page.evaluate(() => [...window.seen]);
  assert.ok(progress.length >= 2, `the bar moved through ${progress.length} values`);
  assert.ok(
    progress.every((value, i) => i === 0 || value >= progress[i - 1] || value === 0),
    `never back: ${progress}`,
  );
  assert.match(await page.evaluate(() => window.amount), /^[\d.]+ of 3\.8 MB · \d+ %$/);
  assert.match(await page.locator("#facts").textContent(), /bitnet-tales.*(relaxed|simd128) SIMD.*thread.*512 tokens/);

  await page.evaluate(() => {
    window.lengths = new Set();
    const stories = document.getElementById("stories");
    const watch = () => window.lengths.add(stories.querySelector(".answer")?.textContent.length ?? 0);
    new MutationObserver(watch).observe(stories, { subtree: true, childList: true, characterData: true });
  });
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  const lengths = await page.evaluate(() => window.lengths.size);
  assert.ok(lengths >= 10, `the text grew in ${lengths} steps, token by token`);

  const stats = page.locator(".stats .explained");
  const line = (await stats.allTextContents()).join(" · ");
  assert.match(line, /^TTFT [\d.]+ (µs|ms|s) · [\d.,]+ tok\/s · 40 tokens · (relaxed|simd128) · \d+ threads?$/);
  for (const title of await stats.evaluateAll((all) => all.map((stat) => stat.title)))
    assert.ok(title.length > 10, title);

  await page.getByText("All numbers").click();
  const rows = await page.locator(".metrics tr").evaluateAll((all) => all.map((row) => [...row.cells].map((c) => c.textContent)));
  const found = new Map(rows.map(([label, value]) => [label, value]));
  assert.deepEqual([found.get("Prompt tokens"), found.get("Tokens generated")], ["5 tokens", "40 tokens"]);
  assert.equal(found.get("Cache hit rate"), "0 %");
  assert.match(found.get("Tokenizer decode"), /^[\d.]+ (µs|ms|s)$/);
  assert.match(found.get("Memory"), /^[\d.]+ MB$/);
  for (const [label, , definition] of rows) assert.ok(definition.length > 15, `${label}: "${definition}"`);
  page.assertClean();
});

for (const tier of ["c", "simd128", "relaxed"]) {
  for (const threads of [1, 2]) {
    test(`greedy text is the golden one: ${tier}, ${threads} threads`, REAL, async (t) => {
      const server = await serve(t);
      const page = await openPage(t, shared, `${server.url}?tier=${tier}&threads=${threads}&temp=0&max=40`);
      await phase(page, "ready");
      for (const prompt of GOLDEN.prompts)
        assert.equal(await ask(page, prompt.text), prompt.greedy40_text, prompt.text);
      const line = await page.locator(".story").last().locator(".stats").textContent();
      assert.ok(line.includes(tier) && line.includes(`${threads} thread`), line);
      page.assertClean();
    });
  }
}

test("the same seed draws the same story, another seed another one", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?seed=7&max=30`);
  await phase(page, "ready");
  const first = await ask(page, FIRST.text);
  assert.equal(await ask(page, FIRST.text), first);
  await page.locator(".sampling summary").click();
  await page.fill("input[name=seed]", "8");
  assert.notEqual(await ask(page, FIRST.text), first);
  page.assertClean();
});

for (const how of ["the Stop button", "Escape"]) {
  test(`${how} stops an answer, and the page goes on`, REAL, async (t) => {
    const server = await serve(t);
    const page = await openPage(t, shared, `${server.url}?max=100000&ctx=100000&temp=0&threads=1`);
    await phase(page, "ready");
    await page.fill("#prompt", FIRST.text);
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector(".answer")?.textContent.length > 0);
    if (how === "Escape") await page.keyboard.press("Escape");
    else await page.click("#stop");
    await page.locator('.story[data-state="cancelled"]').waitFor({ timeout: 2_000 });
    assert.match(await page.locator(".stats").textContent(), /stopped$/);
    await page.locator("input[name=max]").evaluate((field) => (field.value = "5"));
    assert.ok((await ask(page, FIRST.text)).length > 0);
    page.assertClean();
  });
}

test("an answer that ran into its limit can be continued", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=20`);
  await phase(page, "ready");
  const half = await ask(page, FIRST.text);
  assert.ok(FIRST.greedy40_text.startsWith(half), half);
  await page.click(".more");
  await page.waitForFunction((n) => document.querySelector(".answer").textContent.length > n, half.length);
  await phase(page, "ready");
  assert.equal(await page.locator(".answer").textContent(), FIRST.greedy40_text);
  page.assertClean();
});

test("without isolation it runs on one thread, says why, and answers the same", REAL, async (t) => {
  const server = await serve(t, { args: ["--no-isolation"] });
  const page = await openPage(t, shared, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  assert.equal(await page.evaluate(() => crossOriginIsolated), false);
  const note = page.locator("#note");
  assert.ok(await note.isVisible());
  assert.match(
    await note.textContent(),
    /^One thread\. .*not cross-origin isolated.*Cross-Origin-Opener-Policy.*Cross-Origin-Embedder-Policy/,
  );
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  assert.match(await page.locator(".stats").textContent(), /1 thread$/);
  page.assertClean();
});

test("a bad model is refused in the words of the command line, and the page stays usable", REAL, async (t) => {
  const webRoot = await temporaryFolder(t);
  await cp(WEB_ROOT, webRoot, { recursive: true, dereference: true });
  const good = await readFile(MODEL);
  const other = Buffer.from(good);
  other.write("bitnet-b9.99", good.indexOf("bitnet-b1.58"));
  const magic = Buffer.from(good);
  magic.write("GGML", 0);
  const files = { "truncated.gguf": good.subarray(0, good.length / 2), "magic.gguf": magic, "arch.gguf": other };
  for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(webRoot, name), bytes);

  const server = await serve(t, { webRoot });
  for (const name of Object.keys(files)) {
    const cli = await run("run", "-m", path.join(webRoot, name), "-p", "x");
    const [, sentence, id] = /error: (.*) \[([\w.]+)\]/.exec(cli.stderr) ?? assert.fail(cli.stderr);
    const page = await openPage(t, shared, `${server.url}?model=${name}`);
    await page.locator("#error").waitFor();
    assert.equal(await page.locator("#error-id").textContent(), id);
    const shown = await page.locator("#error-text").textContent();
    assert.equal(shown, sentence.replace(`${path.join(webRoot, name)}: `, ""), name);
    page.assertClean();
  }
});

test("a missing model says so; after that, trying again and opening a file both work", REAL, async (t) => {
  const webRoot = await temporaryFolder(t);
  await cp(WEB_ROOT, webRoot, { recursive: true, dereference: true });
  const server = await serve(t, { webRoot });
  const page = await openPage(t, shared, `${server.url}?model=late.gguf&temp=0&max=40`);
  await page.locator("#error").waitFor();
  assert.match(await page.locator("#error-text").textContent(), /late\.gguf.*404/);
  await page.locator("#error-retry").click();
  await page.locator("#error").waitFor();

  await page.locator("#file").setInputFiles(MODEL);
  await phase(page, "ready");
  assert.equal(await page.locator("#error").isVisible(), false);
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);

  await page.reload();
  await page.locator("#error").waitFor();
  await cp(MODEL, path.join(webRoot, "late.gguf"));
  await page.locator("#error-retry").click();
  await phase(page, "ready");
  page.assertClean(/404/);
});

test("a prompt longer than the window gets one sentence, and its text stays in the field", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  const long = "the king and the queen ".repeat(200);
  await page.fill("#prompt", long);
  await page.keyboard.press("Enter");
  await page.locator("#error").waitFor();
  assert.match(await page.locator("#error-text").textContent(), /512/);
  assert.equal(await page.inputValue("#prompt"), long);
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  assert.equal(await page.locator("#error").isVisible(), false);
  page.assertClean();
});

test("an address that asks for nonsense says what is allowed", REAL, async (t) => {
  const server = await serve(t);
  for (const query of ["tier=avx2", "threads=0", "ctx=many", "temp=-1", "temp=warm", "topP=2"]) {
    const page = await openPage(t, shared, `${server.url}?${query}`);
    await page.locator("#error").waitFor();
    assert.ok((await page.locator("#error-text").textContent()).startsWith(`?${query}: `), query);
    await page.setInputFiles("#file", MODEL); /* what the address asked for is forgotten */
    await phase(page, "ready");
    assert.equal(await page.locator("#error").isVisible(), false, query);
    assert.notEqual(await ask(page, FIRST.text), "", query);
    page.assertClean();
  }
});

test("settings that are not valid are pointed at, and what was typed stays", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  await page.locator("input[name=topP]").evaluate((field) => (field.value = "2"));
  await page.fill("#prompt", FIRST.text);
  await page.keyboard.press("Enter");
  await page.locator("input[name=topP]:focus").waitFor();
  assert.equal(await page.inputValue("#prompt"), FIRST.text);
  await page.fill("input[name=topP]", "1");
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  page.assertClean();
});

for (const [when, held] of [
  ["before its first word", ["generate", "abort"]],
  ["in its middle", ["abort"]],
]) {
  test(`another model may be chosen while an answer is written, ${when}: no fault, nothing of it stays`, REAL, async (t) => {
    const server = await serve(t, { args: ["--no-isolation"] }); /* a stop is a message there, and so can be late */
    const page = await openPage(t, shared, "about:blank");
    await page.addInitScript((held) => {
      const { postMessage } = Worker.prototype;
      Worker.prototype.postMessage = function (message, ...rest) {
        if (!window.isSlow || !held.includes(message.op)) postMessage.call(this, message, ...rest);
      };
    }, held);
    await page.goto(`${server.url}?max=100000&ctx=100000&temp=0`);
    await phase(page, "ready");
    await page.evaluate(() => (window.isSlow = true));
    await page.fill("#prompt", FIRST.text);
    await page.keyboard.press("Enter");
    await phase(page, "writing");
    if (!held.includes("generate")) {
      await page.waitForFunction(() => document.querySelector(".answer")?.textContent.length > 0);
    }
    await page.setInputFiles("#file", MODEL);
    await phase(page, "ready");
    assert.equal(await page.locator("#error").isVisible(), false, await page.locator("#error-text").textContent());
    assert.equal(await page.inputValue("#prompt"), "");
    assert.equal(await page.locator(".story").count(), 0);
    await page.evaluate(() => (window.isSlow = false));
    await page.locator("input[name=max]").evaluate((field) => (field.value = "40"));
    assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
    page.assertClean();
  });
}

test("a model's text is shown as text, also when it looks like HTML", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=5`);
  await phase(page, "ready");
  const hostile = '<img src=x onerror="document.title=1"><b>Once';
  await ask(page, hostile);
  assert.equal(await page.locator(".opening").textContent(), hostile);
  assert.equal(await page.locator(".story img, .story b").count(), 0);
  page.assertClean();
});

test("losing the hub costs the page nothing", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  await server.stop();
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  page.assertClean(/WebSocket connection to .* failed/); /* Chromium logs every refused connection itself */
});
