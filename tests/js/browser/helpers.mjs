/* helpers.mjs: what the browser specs share: the real server, the real Chromium, and a page that complains.
 *
 *   BITNET_BIN        the executable, default build/native/bitnet
 *   BITNET_WEB_ROOT   the built pages, default build/web
 *   BITNET_CHROMIUM   the browser, default /usr/bin/chromium
 *
 * Nothing waits for a fixed time: every wait is for a state and has a limit.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
export const BIN = path.resolve(process.env.BITNET_BIN || path.join(ROOT, "build/native/bitnet"));
export const WEB_ROOT = path.resolve(process.env.BITNET_WEB_ROOT || path.join(ROOT, "build/web"));
export const MODEL = path.join(ROOT, "models/bitnet-tales/bitnet-tales.i2_s.gguf");
export const CHROMIUM = process.env.BITNET_CHROMIUM || "/usr/bin/chromium";
export const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const GOLDEN = JSON.parse(await readFile(path.join(ROOT, "tests/golden/bitnet-tales.json"), "utf8"));

/** Why the browser specs cannot run here, or false. A missing build is not a reason but a failure. */
export const skip = existsSync(CHROMIUM) ? false : `there is no browser at ${CHROMIUM}`;

/** Options of every browser test. The limit is for a hang; a test takes a few seconds. */
export const REAL = { skip, timeout: 120_000 };

export async function temporaryFolder(t) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "bitnet-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs `bitnet` to its end; for expected failures too. */
export async function run(...args) {
  const child = spawn(BIN, args, { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (s) => (output[name] += s));
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  return { code, ...output };
}

/** `bitnet serve`, answering. `port` 0 lets it choose; `url` ends with a slash. */
export async function serve(t, { port = 0, webRoot = WEB_ROOT, args = [] } = {}) {
  assert.ok(existsSync(BIN), `${BIN} is missing: build first (./start --build-only) or set BITNET_BIN`);
  assert.ok(existsSync(path.join(webRoot, "index.html")), `${webRoot} has no index.html: build first`);
  const argv = ["serve", "--port", String(port), "--web-root", webRoot, ...args];
  const child = spawn(BIN, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise((resolve) => child.once("close", resolve));
  let output = "";
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`bitnet serve printed no URL in 20 s: ${output}`)), 20_000);
    const onData = (s) => {
      output += s;
      const found = /http:\/\/(?:127\.0\.0\.1|localhost):(\d+)\/?/.exec(output);
      if (found) resolve(`http://127.0.0.1:${found[1]}/`);
      if (found) clearTimeout(timer);
    };
    child.stdout.setEncoding("utf8").on("data", onData);
    child.stderr.setEncoding("utf8").on("data", onData);
    void exited.then((code) => reject(new Error(`bitnet serve ended with ${code}: ${output}`)));
  });
  const stop = async (signal = "SIGTERM") => {
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await exited;
    clearTimeout(timer);
  };
  t.after(() => stop());
  return { url, port: Number(new URL(url).port), stop };
}

/** Files of a folder over http, cross-origin isolated; for the kernel checks, which no server of ours serves. */
export async function serveFolder(t, folder, pages = {}) {
  const types = { ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm" };
  const server = http.createServer(async (request, response) => {
    const name = new URL(request.url, "http://localhost").pathname;
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    try {
      const body = pages[name] ?? (await readFile(path.join(folder, path.normalize(name))));
      response.setHeader("Content-Type", types[path.extname(name)] ?? "text/html; charset=utf-8");
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

/** One Chromium for all tests of a file; each test gets a context of its own from it. */
export function sharedBrowser(...extraArgs) {
  const shared = {};
  before(async () => {
    const args = [...CHROMIUM_ARGS, ...extraArgs];
    if (!skip) shared.browser = await chromium.launch({ executablePath: CHROMIUM, args });
  });
  after(() => shared.browser?.close());
  return shared;
}

/** A browser of its own with a profile on disk, which alone has a real private file system and a real quota. */
export async function ownBrowser(t, ...extraArgs) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "bitnet-test-"));
  const args = [...CHROMIUM_ARGS, ...extraArgs];
  const context = await chromium.launchPersistentContext(folder, { executablePath: CHROMIUM, args });
  t.after(async () => {
    await context.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  });
  return context;
}

/**
 * A page whose complaints are kept: console errors, exceptions, content-security-policy violations, failed
 * requests. `assertClean` fails on any that `expected` (a RegExp) does not match.
 */
export async function openPage(t, { browser }, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && complaints.push(`console: ${m.text()}`));
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("response", (r) => r.status() >= 400 && complaints.push(`${r.status()} ${r.url()}`));
  await page.exposeFunction("reportViolation", (text) => complaints.push(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.reportViolation(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(url);
  page.assertClean = (expected = /^$/) => {
    const unexpected = complaints.filter((text) => !expected.test(text));
    assert.deepEqual(unexpected, [], "the page complained");
  };
  return page;
}

/** Waits until the chat page is in this state (body's data-phase). */
export async function phase(page, name, timeout = 60_000) {
  await page.locator(`body[data-phase="${name}"]`).waitFor({ timeout });
}

/** Asks on the chat page and returns the finished answer's text. */
export async function ask(page, opening) {
  const before = await page.locator(".story").count();
  await page.fill("#prompt", opening);
  await page.keyboard.press("Enter");
  const story = page.locator(".story").nth(before);
  await story.locator(".stats").waitFor({ timeout: 60_000 });
  await phase(page, "ready");
  return story.locator(".answer").textContent();
}
