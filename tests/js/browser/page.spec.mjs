/* page.spec.mjs: what everybody meets on the chat page, whatever they run: screen readers, the dark, a phone's width;
 * and the panel of other models: a forecast, a download that pauses, what the browser keeps.
 */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import http from "node:http";
import test from "node:test";
import { load } from "../../../dist/index.js";
import { ask, GOLDEN, MODEL, openPage, ownBrowser, phase, REAL, ROOT, serve, sharedBrowser } from "./helpers.mjs";
import { chatModel } from "./split.mjs";

const shared = sharedBrowser();
const [FIRST] = GOLDEN.prompts;
const AXE = await readFile(`${ROOT}node_modules/axe-core/axe.min.js`, "utf8");

/** What axe finds that is serious, each as "rule: element". */
async function findings(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
}

for (const [look, size] of [
  ["light", { width: 1280, height: 800 }],
  ["dark", { width: 1280, height: 800 }],
  ["dark", { width: 360, height: 740 }],
]) {
  test(`axe finds nothing serious, ${look}, ${size.width} wide, and nothing sticks out`, REAL, async (t) => {
    const server = await serve(t);
    const page = await openPage(t, shared, "about:blank");
    await page.emulateMedia({ colorScheme: look });
    await page.setViewportSize(size);
    await page.goto(`${server.url}?temp=0&max=20`);
    await phase(page, "ready");
    assert.deepEqual(await findings(page), [], "with a model");
    await page.click("#models-toggle");
    await page.locator(".sampling summary").click();
    assert.deepEqual(await findings(page), [], "with everything open");
    await ask(page, FIRST.text);
    assert.deepEqual(await findings(page), [], "with an answer");
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= size.width, `the page is ${width} wide`);
    await page.goto(`${server.url}?model=none.gguf`);
    await page.locator("#error").waitFor();
    assert.deepEqual(await findings(page), [], "with an error");
    page.assertClean(/404/);
  });
}

/** The model under its own address, from another origin, as slowly as asked. */
async function serveModel(t, { cutAt, bytes = undefined } = {}) {
  bytes ??= await readFile(MODEL);
  const seen = [];
  const server = http.createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const begin = range ? Number(range[1]) : 0;
    const end = range && range[2] !== "" ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
    if (request.method === "GET") seen.push(request.headers.range ?? "all");
    response.setHeader("Access-Control-Allow-Origin", "*");
    response.setHeader("Access-Control-Allow-Headers", "range, if-range");
    response.setHeader("Access-Control-Expose-Headers", "content-range, content-length, etag, accept-ranges");
    response.setHeader("Cross-Origin-Resource-Policy", "cross-origin");
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    response.setHeader("ETag", '"tales"');
    response.setHeader("Accept-Ranges", "bytes");
    if (range) response.setHeader("Content-Range", `bytes ${begin}-${end - 1}/${bytes.length}`);
    response.setHeader("Content-Length", end - begin);
    response.writeHead(range ? 206 : 200);
    if (request.method === "HEAD") return response.end();
    const isHeld = cutAt !== undefined && begin < cutAt && end > cutAt;
    if (isHeld) response.write(bytes.subarray(begin, cutAt)); /* and then nothing: it hangs */
    else response.end(bytes.subarray(begin, end));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}/tales.gguf`, seen, size: bytes.length };
}

/** The name of what has the focus. */
function focused(page) {
  return page.evaluate(() => {
    const { ariaLabel, textContent } = document.activeElement;
    return (ariaLabel ?? textContent).trim();
  });
}

async function check(page, url) {
  await page.click("#models-toggle");
  await page.fill("#url", url);
  await page.click("#check");
  await page.locator("#forecast-load").waitFor();
}

test("an address gets a forecast, then its model, and the forecast stands beside what is measured", REAL, async (t) => {
  const server = await serve(t);
  const remote = await serveModel(t);
  const page = await openPage(t, shared, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  await check(page, remote.url);
  const facts = await page.locator("#forecast-facts").textContent();
  assert.match(facts, /bitnet-tales.*3\.8 MB to download.*MB of memory.*tok\/s.*reads .*tok\/s/);
  assert.ok(!remote.seen.includes("all"), `only the header was read: ${remote.seen}`);
  await page.click("#forecast-load");
  await phase(page, "ready");
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);
  assert.match(await page.locator(".stats").last().textContent(), /tok\/s.*tok\/s expected.*40 tokens/);
  page.assertClean();
});

test("with a model that has a template the page is a conversation, which the model gets from its beginning", REAL, async (t) => {
  const server = await serve(t);
  const bytes = chatModel();
  const remote = await serveModel(t, { bytes });
  const page = await openPage(t, shared, `${server.url}?temp=0&max=20`);
  await phase(page, "ready");
  assert.equal(await page.locator("#write").textContent(), "Write");
  await check(page, remote.url);
  await page.click("#forecast-load");
  await phase(page, "ready");
  assert.equal(await page.locator("#write").textContent(), "Send");
  const model = await load(new Uint8Array(bytes).buffer);
  t.after(() => model.dispose());
  const messages = [];
  for (const content of ["Who lived in the wood?", "And what did he say?"]) {
    messages.push({ role: "user", content });
    const { text } = await model.generate(messages, { maxTokens: 20, temp: 0 }).result;
    assert.equal(await ask(page, content), text);
    messages.push({ role: "assistant", content: text });
  }
  page.assertClean();
});

test("a panel closed while a forecast is made opens without one, and the next forecast is made", REAL, async (t) => {
  const server = await serve(t);
  const remote = await serveModel(t, { cutAt: 1000 });
  const page = await openPage(t, shared, server.url);
  await phase(page, "ready");
  await page.click("#models-toggle");
  await page.fill("#url", remote.url);
  await page.click("#check");
  await page.locator("#forecast").waitFor();
  await page.click("#models-toggle");
  await page.click("#models-toggle");
  assert.equal(await page.locator("#forecast").isVisible(), false);
  await page.fill("#url", `${server.url}models/bitnet-tales.gguf`);
  await page.click("#check");
  await page.locator("#forecast-load").waitFor();
  assert.doesNotMatch(await page.locator("#forecast-text").textContent(), /abort/);
  page.assertClean();
});

test("every fact has an explanation that the keyboard and fingers reach", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, server.url);
  await phase(page, "ready");
  await check(page, `${server.url}models/bitnet-tales.gguf`);
  for (const list of ["#facts", "#forecast-facts"]) {
    const facts = page.locator(`${list} .explained`);
    assert.equal(await facts.count(), 5, list);
    for (const fact of await facts.all()) {
      await fact.click();
      const shown = await fact.evaluate((node) => {
        const { content, display } = getComputedStyle(node, "::after");
        return document.activeElement === node && display !== "none" ? content : "";
      });
      assert.equal(shown, JSON.stringify(await fact.getAttribute("aria-description")), await fact.textContent());
    }
  }
  page.assertClean();
});

test("an address that is no model is refused before anything is downloaded", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, server.url);
  await phase(page, "ready");
  await page.click("#models-toggle");
  await page.fill("#url", `${server.url}index.html`);
  await page.click("#check");
  await page.waitForFunction(() => /gguf\.magic/.test(document.getElementById("forecast-text").textContent));
  assert.equal(await page.locator("#forecast-load").isVisible(), false);
  assert.equal(await page.evaluate(() => document.body.dataset.phase), "ready");
});

test("a download pauses and goes on where it was, and then lies in the browser", REAL, async (t) => {
  const server = await serve(t);
  const remote = await serveModel(t, { cutAt: 2_000_000 });
  const profile = await ownBrowser(t); /* one that keeps files */
  const page = await openPage(t, { browser: { newContext: async () => profile } }, `${server.url}?temp=0&max=40`);
  await phase(page, "ready");
  await check(page, remote.url);
  remote.seen.length = 0;
  await page.click("#forecast-load");
  assert.equal(await focused(page), "Pause");
  await page.waitForFunction(() => /^2 of|^1\.9|^2\.0/.test(document.getElementById("amount").textContent));
  await page.click("#pause");
  await phase(page, "paused");
  assert.equal(await page.locator("#facts").textContent(), "No model");
  assert.ok(await page.locator("#models-toggle").isVisible(), "another model may be chosen");
  await page.click("#pause"); /* it says "Go on" now */
  await phase(page, "ready");
  assert.equal(await focused(page), "Other models");
  assert.ok(remote.seen.some((range) => /^bytes=[1-9]\d*-/.test(range)), `it went on: ${remote.seen}`);
  assert.equal(await ask(page, FIRST.text), FIRST.greedy40_text);

  await page.click("#models-toggle");
  await page.locator("#stored li").first().waitFor();
  const stored = page.locator("#stored li", { hasText: "tales.gguf" });
  assert.match(await stored.first().textContent(), /3\.8 MB/);
  remote.seen.length = 0;
  await page.locator("#stored button", { hasText: /^tales\.gguf$/ }).click();
  await phase(page, "ready");
  assert.deepEqual(remote.seen, [], "nothing was fetched again");
  await page.click("#models-toggle");
  await page.getByRole("button", { name: "Delete tales.gguf", exact: true }).click();
  await page.locator("#stored button", { hasText: /^tales\.gguf$/ }).waitFor({ state: "detached" });
  assert.equal(await focused(page), "Delete bitnet-tales.gguf", "the next one");
  await page.keyboard.press("Enter");
  await page.locator("#stored li").waitFor({ state: "detached" });
  assert.equal(await focused(page), "Other models");
});

test("what is stored under an address that is no UTF-8 is listed as the address has it", REAL, async (t) => {
  const server = await serve(t);
  const remote = await serveModel(t);
  const profile = await ownBrowser(t);
  const url = remote.url.replace("tales", "50%25%ff");
  const page = await openPage(t, { browser: { newContext: async () => profile } }, `${server.url}?model=${encodeURIComponent(url)}`);
  await phase(page, "ready");
  await page.click("#models-toggle");
  await page.locator("#stored button", { hasText: /^50%25%ff\.gguf$/ }).waitFor();
  page.assertClean();
});

test("offline is said", REAL, async (t) => {
  const server = await serve(t);
  const page = await openPage(t, shared, `${server.url}?model=http://127.0.0.1:9/none.gguf`);
  await page.locator("#error").waitFor();
  await page.context().setOffline(true);
  await page.click("#error-retry");
  await page.locator("#error").waitFor();
  await page.waitForFunction(() => /^This device is offline\./.test(document.getElementById("error-text").textContent));
});
