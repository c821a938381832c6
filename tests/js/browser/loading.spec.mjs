/* loading.spec.mjs: models from servers, connections, stores and tabs that fail, in a real Chromium with a profile
 * on disk. What was loaded writes the golden tokens, or nothing was loaded.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { GOLDEN, MODEL, ownBrowser, REAL, ROOT } from "./helpers.mjs";
import { splitModel } from "./split.mjs";

const FILE = readFileSync(MODEL);
const SHA256 = createHash("sha256").update(FILE).digest("hex");
const CUT_MS = 500; /* for what was sent to be read: a browser forgets what it has not read when a connection breaks */
const CHUNK = 1 << 20; /* CHUNK_SIZE in targets/wasm/js/journal.ts */
const [{ text: PROMPT, greedy40: TOKENS }] = GOLDEN.prompts;
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** The same model under another name, of the same length: which of the two was loaded shows. */
const RENAMED = Buffer.from(FILE);
RENAMED.write("bitnet-tale5", RENAMED.indexOf("bitnet-tales"));

const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>test</title>
<script type="module">
  import { load, storage } from "./lib/index.js";
  window.codeOf = (promise) => promise.then(() => "no error", (e) => [e.name, e.code ?? "", e.message].join("|"));
  window.load = load;
  window.storage = storage;
  window.use = async (source, options = {}) => {
    const progress = [];
    const model = await load(source, { threads: 1, ...options, onProgress: (p) => progress.push(p) });
    const { tokenIds } = await model.generate(${JSON.stringify(PROMPT)}, { maxTokens: 40, temp: 0 }).result;
    await model.dispose();
    return { info: model.info, tokenIds, progress, isFromCache: progress.at(-1).fromCache };
  };
  window.stored = async () => {
    return (await storage.list()).map(({ usedAt, ...rest }) => ({ ...rest, age: Date.now() - usedAt }));
  };
</script>`;

/* The library, and /model.gguf as the test wants it:
 *   file, etag    what is there now                           isDown    connections end without an answer
 *   cutAt         the next answer breaks off at this byte     stallAt   it stops there, until release() is called
 *   isDeaf        Range is ignored                            prelude   in front of worker.js
 *   parts         /part0.gguf and so on
 * `asked` lists the Range of every request for it. */
class Server {
  file = FILE;
  etag = '"1"';
  asked = [];
  prelude = "";

  async start(t) {
    const server = http.createServer((req, res) => this.answer(req, res));
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    t.after(() => server.closeAllConnections());
    this.port = server.address().port;
    this.url = `http://127.0.0.1:${this.port}/`;
    return this;
  }

  answer(req, res) {
    const name = req.url.split("?")[0];
    res.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    res.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    res.setHeader("Cross-Origin-Resource-Policy", "cross-origin");
    res.setHeader("Access-Control-Allow-Origin", "*");
    res.setHeader("Access-Control-Expose-Headers", "ETag");
    if (req.method === "OPTIONS") return res.writeHead(403).end(); /* it allows other hosts nothing unusual */
    if (name === "/") return res.setHeader("Content-Type", "text/html").end(PAGE);
    if (name === "/model.gguf") return this.model(req, res);
    if (/^\/part\d\.gguf$/.test(name)) return this.part(name, res);
    if (name === "/gzip.gguf") {
      this.asked.push(req.method);
      res.writeHead(200, { "Content-Encoding": "gzip", ETag: '"1"' });
      return res.end(gzipSync(FILE, { level: 1 }));
    }
    if (name === "/page.gguf") return res.setHeader("Content-Type", "text/html").end("<!doctype html>not a model");
    if (name === "/redirect.gguf") {
      return res.writeHead(302, { Location: `http://localhost:${this.port}/model.gguf` }).end();
    }
    try {
      const bytes = readFileSync(path.join(ROOT, "dist", path.basename(name)));
      res.setHeader("Content-Type", TYPES[path.extname(name)] ?? "application/octet-stream");
      res.end(name.endsWith("/worker.js") ? this.prelude + bytes : bytes);
    } catch {
      res.writeHead(404).end();
    }
  }

  part(name, res) {
    this.asked.push(name);
    if (this.isDown) return res.destroy();
    const bytes = this.parts[Number(name.charAt(5))];
    return res.writeHead(200, { "Content-Length": bytes.length, ETag: '"1"' }).end(bytes);
  }

  model(req, res) {
    if (req.method !== "HEAD") this.asked.push(req.headers.range ?? "all");
    this.headers = req.headers;
    if (this.isDown) return res.destroy();
    if (req.method === "HEAD") return res.writeHead(200, { "Content-Length": 5, ETag: this.etag }).end();
    const range = this.isDeaf ? null : /^bytes=(\d+)-$/.exec(req.headers.range ?? "");
    const isSame = (req.headers["if-range"] ?? this.etag) === this.etag;
    const from = range && isSame ? Number(range[1]) : 0;
    if (range && isSame) {
      const whole = this.file.length;
      const range = { "Content-Range": `bytes ${from}-${whole - 1}/${whole}`, "Content-Length": whole - from };
      res.writeHead(206, { ...range, ETag: this.etag });
    } else {
      res.writeHead(200, { "Content-Length": this.file.length, ETag: this.etag });
    }
    const { cutAt, stallAt } = this;
    this.cutAt = this.stallAt = undefined;
    const until = cutAt ?? stallAt;
    if (until === undefined) return res.end(this.file.subarray(from));
    const { file } = this;
    res.write(file.subarray(from, until), () => cutAt !== undefined && setTimeout(() => res.destroy(), CUT_MS));
    this.release = () => res.end(file.subarray(until));
  }
}

async function open(t, { host = "127.0.0.1", ...state } = {}) {
  const server = await new Server().start(t);
  Object.assign(server, state, { url: server.url.replace("127.0.0.1", host) });
  const context = await ownBrowser(t, `--host-resolver-rules=MAP ${host} 127.0.0.1`);
  const visit = async () => {
    const page = await context.newPage();
    page.on("pageerror", (error) => assert.fail(`exception in the page: ${error.message}`));
    await page.goto(server.url);
    await page.waitForFunction("window.use");
    return page;
  };
  return { server, context, visit, page: await visit() };
}

const use = (page, source = "model.gguf", options = {}) =>
  page.evaluate(([s, o]) => window.use(s, o), [source, options]);
const stored = (page) => page.evaluate(() => window.stored());

/** Starts a load and waits until this many bytes have come; the load goes on in window.pending. */
async function startLoad(page, bytes, options = {}) {
  await page.evaluate(
    ([wanted, options]) =>
      new Promise((resolve) => {
        window.controller = new AbortController();
        const onProgress = ({ loaded }) => loaded >= wanted && resolve();
        window.pending = window.load("model.gguf", { ...options, onProgress, signal: window.controller.signal });
        window.pending.catch(() => undefined);
      }),
    [bytes, options],
  );
}

/** Lets `change` loose on the bytes of one stored file, .data or .journal. */
async function spoil(page, kind, change) {
  await page.evaluate(
    async ([kind, change]) => {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("libbitnet");
      for await (const [name, handle] of folder) {
        if (!name.endsWith(kind)) continue;
        const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
        const writable = await handle.createWritable();
        await writable.write(new Function("bytes", change)(bytes));
        await writable.close();
      }
    },
    [kind, change],
  );
}

function assertGolden(used, { cache = "stored", isFromCache = false, name = "bitnet-tales" } = {}) {
  assert.deepEqual(used.tokenIds, TOKENS);
  assert.equal(used.info.name, name);
  assert.deepEqual([used.info.cache, used.isFromCache], [cache, isFromCache], used.info.cacheReason);
}

for (const threads of [1, 2]) {
  test(`a second visit needs no server, with ${threads} thread(s)`, REAL, async (t) => {
    const { server, page, visit } = await open(t);
    const first = await use(page, "model.gguf", { threads });
    assertGolden(first);
    assert.equal(first.info.cacheReason, "");
    assert.ok(first.progress.some((p) => p.bytesPerSecond > 0), "the rate is told");
    server.isDown = true;
    const second = await use(await visit(), "model.gguf#here", { threads });
    assertGolden(second, { isFromCache: true });
    assert.ok(second.progress.filter((p) => p.phase === "download").every((p) => p.fromCache));
    assert.deepEqual(server.asked, ["all"]);
  });
}

test("a connection cut in the middle is taken up where it broke", REAL, async (t) => {
  const cutAt = FILE.length / 2;
  const { server, page } = await open(t, { cutAt });
  const used = await use(page);
  assertGolden(used);
  assert.deepEqual(server.asked, ["all", `bytes=${cutAt}-`]);
  assert.equal(server.headers["if-range"], '"1"');
  assertGolden(await use(page), { isFromCache: true });
});

test("a server without Range sends all again after a cut", REAL, async (t) => {
  const { server, page } = await open(t, { cutAt: FILE.length / 2, isDeaf: true });
  assertGolden(await use(page));
  assert.equal(server.asked.length, 2);
  assertGolden(await use(page), { isFromCache: true });
});

test("a file that changes between an abort and the next load is loaded anew", REAL, async (t) => {
  const { server, page } = await open(t, { stallAt: FILE.length / 2 });
  await startLoad(page, FILE.length / 2);
  Object.assign(server, { file: RENAMED, etag: '"2"' });
  await page.evaluate(() => window.controller.abort());
  const used = await use(page);
  assert.equal(server.asked[1], `bytes=${CHUNK}-`);
  assertGolden(used, { name: "bitnet-tale5" });
  assert.deepEqual((await stored(page)).map((entry) => entry.stored), [FILE.length]);
  assertGolden(await use(page), { name: "bitnet-tale5", isFromCache: true });
});

test("a file that changes while the connection is cut is loaded anew", REAL, async (t) => {
  const { server, page } = await open(t, { cutAt: FILE.length / 2 });
  const using = use(page);
  while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  Object.assign(server, { file: RENAMED, etag: '"2"' });
  assertGolden(await using, { name: "bitnet-tale5" });
  assert.equal(server.asked.length, 2);
});

test("an aborted load keeps what arrived, and the next one goes on from there", REAL, async (t) => {
  const { server, page } = await open(t, { stallAt: 3 * CHUNK + 5 });
  await startLoad(page, 3 * CHUNK);
  const error = await page.evaluate(() => {
    window.controller.abort();
    return window.codeOf(window.pending);
  });
  assert.match(error, /^AbortError/);
  const [entry] = await stored(page);
  assert.deepEqual([entry.url, entry.size, entry.stored], [`${server.url}model.gguf`, FILE.length, 3 * CHUNK]);
  assert.equal(entry.isComplete, false);
  assertGolden(await use(page));
  assert.deepEqual(server.asked, ["all", `bytes=${3 * CHUNK}-`]);
});

test("a page that is reloaded during the download goes on from what is stored", REAL, async (t) => {
  const { server, page } = await open(t, { stallAt: 2 * CHUNK + 5 });
  await startLoad(page, 2 * CHUNK, { threads: 2 });
  await page.reload();
  await page.waitForFunction("window.use");
  assertGolden(await use(page));
  assert.deepEqual(server.asked, ["all", `bytes=${2 * CHUNK}-`]);
});

test("a wrong digest is an error and leaves nothing; the right one is remembered", REAL, async (t) => {
  const { server, page } = await open(t);
  const wrong = "0".repeat(64);
  const error = await page.evaluate((sha256) => window.codeOf(window.load("model.gguf", { sha256 })), wrong);
  assert.match(error, /^BitnetError\|load\.sha256\|.*model\.gguf: its SHA-256 is not the one that was asked for/);
  assert.deepEqual(await stored(page), []);
  const used = await use(page, "model.gguf", { sha256: SHA256.toUpperCase() });
  assertGolden(used);
  assert.ok(used.progress.some((p) => p.phase === "verify" && p.loaded === FILE.length));
  assert.equal((await stored(page))[0].sha256, SHA256);
  const again = await use(page, "model.gguf", { sha256: SHA256 });
  assertGolden(again, { isFromCache: true });
  assert.ok(again.progress.every((p) => p.phase !== "verify"), "chunks were checked; the whole is known");
  assert.equal(server.asked.length, 2);
});

test("another digest than the stored file's makes it ask the server", REAL, async (t) => {
  const { server, page } = await open(t, { file: RENAMED });
  assertGolden(await use(page), { name: "bitnet-tale5" });
  server.file = FILE;
  const used = await use(page, "model.gguf", { sha256: SHA256 });
  assertGolden(used);
  assert.match(used.info.cacheReason, /another SHA-256, and was loaded anew/);
  assertGolden(await use(page, "model.gguf", { sha256: SHA256 }), { isFromCache: true });
  assert.equal(server.asked.length, 2);
});

test("without storage left the model is loaded all the same, and that is said", REAL, async (t) => {
  const { server, context, page } = await open(t);
  const session = await context.newCDPSession(page);
  const origin = server.url.replace(/\/$/, "");
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 2.5 * CHUNK });
  const used = await use(page);
  assertGolden(used, { cache: "partial" });
  assert.match(used.info.cacheReason, /gives this site no more storage\. [\d.]+ MB of this file are kept/);
  const [{ stored: kept }] = await stored(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  assertGolden(await use(page));
  assert.deepEqual(server.asked, ["all", `bytes=${kept}-`]);
});

test("a digest that was checked when a part was stored says nothing of the rest that comes later", REAL, async (t) => {
  const { server, context, page } = await open(t);
  const session = await context.newCDPSession(page);
  const origin = server.url.replace(/\/$/, "");
  await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 2.5 * CHUNK });
  assertGolden(await use(page, "model.gguf", { sha256: SHA256 }), { cache: "partial" });
  const [{ stored: kept, sha256 }] = await stored(page);
  assert.equal(sha256, undefined);
  await session.send("Storage.overrideQuotaForOrigin", { origin });
  server.file = Buffer.from(FILE);
  server.file[FILE.length - 1] ^= 1;
  const error = await page.evaluate((sha256) => window.codeOf(window.load("model.gguf", { sha256 })), SHA256);
  assert.match(error, /^BitnetError\|load\.sha256\|/);
  assert.deepEqual(server.asked, ["all", `bytes=${kept}-`]);
  assert.deepEqual(await stored(page), []);
});

for (const [what, kind, change] of [
  ["with a flipped bit", ".data", "bytes[3_000_000] ^= 4; return bytes"],
  ["that has lost its end", ".data", "return bytes.subarray(0, 3_000_000)"],
  ["that is empty", ".data", "return new Uint8Array(0)"],
  ["with a spoiled journal", ".journal", "bytes[20] = 0; return bytes"],
  ["with no journal", ".journal", "return new Uint8Array(0)"],
]) {
  test(`a stored file ${what} is loaded anew, never used`, REAL, async (t) => {
    const { server, page } = await open(t);
    assertGolden(await use(page));
    await spoil(page, kind, change);
    const used = await use(page);
    assertGolden(used);
    if (!what.endsWith("no journal")) assert.match(used.info.cacheReason, /was damaged, and was loaded anew/);
    assert.deepEqual(server.asked, ["all", "all"]);
    assertGolden(await use(page), { isFromCache: true });
  });
}

test("a journal whose last line was cut off costs that line", REAL, async (t) => {
  const { server, page } = await open(t, { stallAt: 3 * CHUNK + 5 });
  await startLoad(page, 3 * CHUNK);
  await page.evaluate(() => window.controller.abort());
  await spoil(page, ".journal", "return bytes.subarray(0, bytes.length - 30)");
  assertGolden(await use(page));
  assert.deepEqual(server.asked, ["all", `bytes=${2 * CHUNK}-`]);
  assertGolden(await use(page), { isFromCache: true });
});

test("two tabs at once: one stores, the other only loads; afterwards both have it", REAL, async (t) => {
  const { server, page, visit } = await open(t, { stallAt: 2 * CHUNK + 5 });
  const other = await visit();
  await startLoad(page, 2 * CHUNK);
  const busy = await page.evaluate(() => window.codeOf(window.storage.delete("model.gguf")));
  assert.match(busy, /^BitnetError\|storage\.busy\|/);
  const second = await use(other);
  assertGolden(second, { cache: "none" });
  assert.match(second.info.cacheReason, /Another tab/);
  server.release();
  assert.equal(await page.evaluate(async () => (await window.pending).info.cache), "stored");
  server.isDown = true;
  const both = await Promise.all([use(page), use(other)]);
  for (const used of both) assertGolden(used, { isFromCache: true });
});

test("a tab waits a moment for the lock of a stored file, and then loads without it", REAL, async (t) => {
  const { server, page, visit } = await open(t);
  assertGolden(await use(page));
  const lock = `libbitnet ${server.url}model.gguf`;
  await page.evaluate(
    (lock) =>
      new Promise((isHeld) => {
        const held = () => new Promise((release) => isHeld(void (window.letGo = release)));
        void navigator.locks.request(lock, held);
      }),
    lock,
  );
  const other = await visit();
  const second = use(other);
  const isAwaited = (lock) =>
    navigator.locks.query().then(({ pending }) => pending.some(({ name }) => name === lock));
  let hasEnded = false;
  const end = () => (hasEnded = true);
  second.then(end, end);
  while (!hasEnded && !(await page.evaluate(isAwaited, lock))) await new Promise((resolve) => setTimeout(resolve, 5));
  await page.evaluate(() => window.letGo());
  assertGolden(await second, { isFromCache: true });
  assert.deepEqual(server.asked, ["all"]);
  await page.evaluate((lock) => void navigator.locks.request(lock, () => new Promise(() => undefined)), lock);
  const third = await use(other);
  assertGolden(third, { cache: "none" });
  assert.match(third.info.cacheReason, /Another tab/);
});

const NO_OPFS = "delete StorageManager.prototype.getDirectory;";
test("without a private file system IndexedDB keeps the model", REAL, async (t) => {
  const { server, page, visit } = await open(t, { prelude: NO_OPFS, cutAt: FILE.length / 2 });
  assertGolden(await use(page, "model.gguf", { threads: 2 }));
  assert.deepEqual((await stored(page)).map((entry) => [entry.stored, entry.isComplete]), [[FILE.length, true]]);
  server.isDown = true;
  assertGolden(await use(await visit()), { isFromCache: true });
  await page.evaluate(() => window.storage.delete("model.gguf"));
  assert.deepEqual(await stored(page), []);
  server.isDown = false;
  assertGolden(await use(page));
  assert.equal(server.asked.length, 3);
});

test("on a page without https IndexedDB keeps the model, too, checked by our own SHA-256", REAL, async (t) => {
  const { server, page } = await open(t, { host: "model.test", cutAt: FILE.length / 2 });
  assert.equal(await page.evaluate(() => isSecureContext), false);
  assertGolden(await use(page));
  server.isDown = true;
  assertGolden(await use(page, "model.gguf", { sha256: SHA256 }), { isFromCache: true });
});

test("a chunk that IndexedDB gives back changed is loaded anew", REAL, async (t) => {
  const { server, page } = await open(t, { host: "model.test" });
  assertGolden(await use(page));
  await page.evaluate(async () => {
    const done = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const store = (await done(indexedDB.open("libbitnet"))).transaction("chunks", "readwrite").objectStore("chunks");
    const [, key] = await done(store.getAllKeys());
    const chunk = await done(store.get(key));
    chunk[77] ^= 1;
    await done(store.put(chunk, key));
  });
  const used = await use(page);
  assertGolden(used);
  assert.match(used.info.cacheReason, /was damaged, and was loaded anew/);
  assert.equal(server.asked.length, 2);
});

test("without any storage the model is loaded each time, and that is said", REAL, async (t) => {
  const { server, page } = await open(t, { prelude: `${NO_OPFS} delete self.indexedDB;
    Object.defineProperty(self, "indexedDB", { value: undefined });` });
  for (let i = 0; i < 2; i++) {
    const used = await use(page);
    assertGolden(used, { cache: "none" });
    assert.match(used.info.cacheReason, /no storage for models/);
  }
  assert.equal(server.asked.length, 2);
});

test("whether the stored file is still the server's can be asked each time", REAL, async (t) => {
  const { server, page } = await open(t);
  const check = { cache: "check" };
  assertGolden(await use(page, "model.gguf", check));
  assertGolden(await use(page, "model.gguf", check), { isFromCache: true });
  Object.assign(server, { file: RENAMED, etag: '"2"' });
  const used = await use(page, "model.gguf", check);
  assertGolden(used, { name: "bitnet-tale5" });
  assert.match(used.info.cacheReason, /The server has another file now/);
  server.isDown = true;
  assertGolden(await use(page, "model.gguf", check), { name: "bitnet-tale5", isFromCache: true });
  assert.deepEqual(server.asked, ["all", "all"]);
});

test("storing can be switched off", REAL, async (t) => {
  const { server, page } = await open(t);
  for (let i = 0; i < 2; i++) assertGolden(await use(page, "model.gguf", { cache: "off" }), { cache: "none" });
  assert.deepEqual(await stored(page), []);
  assert.deepEqual(server.asked, ["all", "all"]);
});

test("an address without a file leaves nothing in the store", REAL, async (t) => {
  const { page } = await open(t);
  const error = await page.evaluate(() => window.codeOf(window.load("missing.gguf")));
  assert.match(error, /^BitnetError\|fetch\.http\|/);
  const names = await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("libbitnet");
    return Array.fromAsync(folder.keys());
  });
  assert.deepEqual(names, []);
});

test("what somebody has open is busy when the store is cleared", REAL, async (t) => {
  const { page } = await open(t);
  const error = await page.evaluate(async () => {
    const code = `onmessage = async () => {
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle("libbitnet", { create: true });
      self.handle = await (await folder.getFileHandle("a.data", { create: true })).createSyncAccessHandle();
      postMessage("open");
    }`;
    const worker = new Worker(URL.createObjectURL(new Blob([code])));
    const isOpen = new Promise((resolve) => (worker.onmessage = resolve));
    worker.postMessage(0);
    await isOpen;
    return window.codeOf(window.storage.clear());
  });
  assert.match(error, /^BitnetError\|storage\.busy\|A model is being loaded/);
});

test("a request that the worker cannot read is an error", REAL, async (t) => {
  const prelude = `addEventListener("message", (event) => {
    event.stopImmediatePropagation();
    self.dispatchEvent(new MessageEvent("messageerror"));
  });`;
  const { page } = await open(t, { prelude });
  const error = await page.evaluate(() => window.codeOf(window.load("model.gguf")));
  assert.match(error, /^BitnetError\|worker\.failed\|.*a message to it could not be read/);
});

test("the store can be listed, measured and emptied from the page", REAL, async (t) => {
  const { server, page } = await open(t);
  await use(page, "model.gguf?a");
  await use(page, "model.gguf?b");
  await use(page, "model.gguf?a");
  const list = await stored(page);
  assert.deepEqual(list.map((entry) => entry.url), [`${server.url}model.gguf?a`, `${server.url}model.gguf?b`]);
  for (const entry of list) assert.ok(entry.isComplete && entry.size === FILE.length && entry.age < 60_000);
  const { usage, quota } = await page.evaluate(() => window.storage.estimate());
  assert.ok(usage >= 2 * FILE.length && quota > usage, `${usage} of ${quota}`);
  await page.evaluate(() => window.storage.delete("model.gguf?b"));
  assert.equal((await stored(page)).length, 1);
  await page.evaluate(() => window.storage.clear());
  assert.deepEqual(await stored(page), []);
  assert.ok((await page.evaluate(() => window.storage.estimate())).usage < FILE.length);
  assert.equal(typeof (await page.evaluate(() => window.storage.persist())), "boolean");
  assertGolden(await use(page, "model.gguf?a"));
});

test("a model that will not fit is refused as soon as its header is here", REAL, async (t) => {
  const { page } = await open(t, { stallAt: 2 * CHUNK });
  const error = await page.evaluate(() => window.codeOf(window.load("model.gguf", { nCtx: 1 << 20 })));
  assert.match(error, /^BitnetError\|session\.memory\|the model needs [\d.]+ MB, of which its file is 3\.8 MB/);
});

test("a web page in place of a model is refused and not kept", REAL, async (t) => {
  const { page } = await open(t);
  const error = await page.evaluate(() => window.codeOf(window.load("page.gguf")));
  assert.match(error, /^BitnetError\|gguf\.magic\|/);
  assert.deepEqual(await stored(page), []);
});

test("a compressed answer is stored as the file that it is", REAL, async (t) => {
  const { server, page } = await open(t);
  assertGolden(await use(page, "gzip.gguf"));
  assertGolden(await use(page, "gzip.gguf", { sha256: SHA256 }), { isFromCache: true });
  assertGolden(await use(page, "gzip.gguf", { cache: "check" }), { isFromCache: true });
  assert.deepEqual(server.asked, ["GET", "HEAD"]);
});

test("a redirect to another host is followed without cookies, and resumed there", REAL, async (t) => {
  const { server, context, page } = await open(t, { cutAt: FILE.length / 2 });
  await context.addCookies([{ name: "secret", value: "1", url: `http://localhost:${server.port}` }]);
  assertGolden(await use(page, "redirect.gguf"));
  assert.equal(server.headers.cookie, undefined);
  assert.deepEqual(server.asked, ["all", `bytes=${FILE.length / 2}-`]);
  assertGolden(await use(page, "redirect.gguf"), { isFromCache: true });
});

test("a stream, a file handle and a File work as a URL does, and are checked", REAL, async (t) => {
  const { page } = await open(t);
  const all = await page.evaluate(async (sha256) => {
    const blob = await (await fetch("model.gguf")).blob();
    const handle = await (await navigator.storage.getDirectory()).getFileHandle("mine.gguf", { create: true });
    const writable = await handle.createWritable();
    await writable.write(blob);
    await writable.close();
    const sources = [blob.stream(), handle, new File([blob], "a.gguf")];
    const used = [];
    for (const source of sources) used.push(await window.use(source, { sha256 }));
    const wrong = await window.codeOf(window.load(blob, { sha256: sha256.replace(/^./, "x") }));
    const other = await window.codeOf(window.load(blob, { sha256: "0".repeat(64) }));
    const locked = blob.stream();
    locked.getReader();
    return { used, wrong, other, locked: await window.codeOf(window.load(locked)) };
  }, SHA256);
  for (const used of all.used) assertGolden(used, { cache: "none" });
  assert.match(all.wrong, /^BitnetError\|options\|.*64 hexadecimal digits/);
  assert.match(all.other, /^BitnetError\|load\.sha256\|the file: its SHA-256 is not/);
  assert.match(all.locked, /^BitnetError\|options\|source cannot be handed to a worker/);
});

test("the parts of a split file work in any order, from URLs, the store and Files", REAL, async (t) => {
  const { server, page } = await open(t, { parts: splitModel(3) });
  const urls = ["part2.gguf", "part0.gguf", "part1.gguf"];
  const first = await use(page, urls);
  assertGolden(first);
  const size = server.parts.reduce((sum, part) => sum + part.length, 0);
  assert.deepEqual([first.info.fileSize, first.progress.at(-1).total], [size, size]);
  assert.ok(first.progress.every((p, i, all) => i === 0 || p.loaded >= all[i - 1].loaded), "never back");
  server.isDown = true;
  assertGolden(await use(page, urls, { threads: 2 }), { isFromCache: true });
  assert.deepEqual(server.asked, ["/part2.gguf", "/part0.gguf", "/part1.gguf"]);
  server.isDown = false;
  const used = await page.evaluate(async (urls) => {
    const blobs = await Promise.all(urls.map(async (url) => (await fetch(url)).blob()));
    return window.use(blobs);
  }, urls);
  assertGolden(used, { cache: "none" });
});

test("parts that came before one that did not are stored, and let go", REAL, async (t) => {
  const { page } = await open(t, { parts: splitModel(3) });
  const { code, entries, deletion } = await page.evaluate(async () => {
    const worker = new Worker("lib/worker.js", { type: "module" }); /* which stays, unlike that of a failed load() */
    const answer = new Promise((resolve) => (worker.onmessage = ({ data }) => data.type === "error" && resolve(data)));
    const how = { nCtx: 0, cacheTypeK: "auto", cacheTypeV: "auto", stagedHead: "auto" };
    const source = ["part0.gguf", "missing.gguf"].map((name) => new URL(name, document.baseURI).href);
    worker.postMessage({ id: 1, op: "load", source, cache: "auto", threads: 1, how });
    const { code } = (await answer).error;
    const entries = (await window.stored()).map(({ url, isComplete }) => [url.split("/").at(-1), isComplete]);
    return { code, entries, deletion: await window.codeOf(window.storage.delete("part0.gguf")) };
  });
  assert.equal(code, "fetch.http");
  assert.deepEqual(entries, [["part0.gguf", true]]);
  assert.equal(deletion, "no error");
});

test("parts that do not belong together are refused", REAL, async (t) => {
  const { page } = await open(t, { parts: splitModel(3) });
  const codes = await page.evaluate(async () => {
    const attempts = [["part0.gguf"], ["part0.gguf", "part1.gguf"], ["part0.gguf", "part1.gguf", "part1.gguf"], []];
    const codes = [];
    for (const parts of attempts) codes.push((await window.codeOf(window.load(parts))).split("|")[1]);
    return codes;
  });
  assert.deepEqual(codes, ["split.alone", "split.count", "split.twice", "options"]);
  assert.equal((await stored(page)).length, 2, "the parts are good");
});
