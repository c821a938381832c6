// package.test.mjs: what npm would publish, installed in four projects, built by their tools, run and asked for the
// golden tokens: plain HTML from static files, Vite, webpack, Node.js.
//
// Everything happens in build/package/<name>. The tools come from the locks here; the package from `npm pack`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import test, { before } from "node:test";
import { GOLDEN, MODEL, openPage, REAL, ROOT, sharedBrowser } from "../js/browser/helpers.mjs";

const OUT = path.join(ROOT, "build/package");
const NPM_MS = 240_000;
const [FIRST] = GOLDEN.prompts;
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

const browser = sharedBrowser();
let tarball;

const run = (cwd, command, ...args) =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: NPM_MS });

before(() => {
  mkdirSync(OUT, { recursive: true });
  const [{ filename }] = JSON.parse(run(ROOT, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", OUT));
  tarball = path.join(OUT, filename);
});

/** The fixture, with page.js if it has a page, its tools, unless they are there from a run before, and the packed
 * package. */
function install(name) {
  const from = path.join(ROOT, "tests/package", name);
  const to = path.join(OUT, name);
  const lock = path.join(from, "package-lock.json");
  const isInstalled = existsSync(lock) && existsSync(path.join(to, "node_modules/.installed")) &&
    readFileSync(path.join(to, "node_modules/.installed"), "utf8") === readFileSync(lock, "utf8");
  if (!isInstalled) rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
  if (existsSync(path.join(to, "index.html"))) cpSync(path.join(from, "../page.js"), path.join(to, "page.js"));
  if (existsSync(lock) && !isInstalled) {
    run(to, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts");
    writeFileSync(path.join(to, "node_modules/.installed"), readFileSync(lock));
  }
  const module = path.join(to, "node_modules/libbitnet");
  rmSync(module, { recursive: true, force: true });
  mkdirSync(module, { recursive: true });
  run(to, "tar", "-xzf", tarball, "-C", module, "--strip-components=1");
  return to;
}

/** The page of a folder, with the model beside it. */
async function serve(t, folder, isIsolated) {
  const server = http.createServer((request, response) => {
    const name = new URL(request.url, "http://localhost").pathname;
    const asked = path.normalize(name === "/" ? "/index.html" : name);
    const file = name === "/model.gguf" ? MODEL : path.join(folder, asked);
    if (isIsolated) {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    if (name === "/favicon.ico") return response.writeHead(204).end();
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream");
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

/** With and without isolation: two threads in the one, one in the other. */
async function expectGolden(t, folder) {
  for (const threads of [1, 2]) {
    const url = await serve(t, folder, threads > 1);
    const page = await openPage(t, browser, `${url}?threads=${threads}&prompt=${encodeURIComponent(FIRST.text)}`);
    await page.waitForFunction("window.result", undefined, { timeout: 60_000 });
    const { tier, ...result } = await page.evaluate("window.result");
    assert.deepEqual(result, { tokenIds: FIRST.greedy40, text: FIRST.greedy40_text, threads });
    assert.match(tier, /^(simd128|relaxed)$/);
    page.assertClean();
  }
}

const LIMIT = { ...REAL, timeout: 2 * NPM_MS };

test("plain HTML: the package's files, an import map and nothing else", LIMIT, async (t) => {
  const folder = install("plain");
  rmSync(path.join(folder, "libbitnet"), { recursive: true, force: true });
  cpSync(path.join(folder, "node_modules/libbitnet"), path.join(folder, "libbitnet"), { recursive: true });
  await expectGolden(t, folder);
});

for (const name of ["vite", "webpack"]) {
  test(`${name}: a production build`, LIMIT, async (t) => {
    const folder = install(name);
    const dist = path.join(folder, "dist");
    rmSync(dist, { recursive: true, force: true });
    run(folder, "npm", "run", "build");
    if (name === "webpack") cpSync(path.join(folder, "index.html"), path.join(dist, "index.html"));
    await expectGolden(t, dist);
  });
}

test("Node.js: the module for SIMD128, on one thread", { timeout: NPM_MS }, () => {
  const folder = install("node");
  const result = JSON.parse(run(folder, process.execPath, "main.mjs", MODEL, FIRST.text));
  assert.deepEqual(result, {
    tokenIds: FIRST.greedy40,
    text: FIRST.greedy40_text,
    threads: 1,
    tier: "simd128",
  });
});
