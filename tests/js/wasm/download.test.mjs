// download.test.mjs: bytes from a server that behaves, from servers that do not, and from files. There is no store here;
// loading.spec.mjs has that, in a browser.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import test, { after, before } from "node:test";
import { gzipSync } from "node:zlib";
import { importTs } from "./load_ts.mjs";

const { download, openLocal, BitnetError } = await importTs("download", "host", "errors");

const FILE = randomBytes(3_000_000);
const CHANGED = randomBytes(3_100_000);
const DELAYS = [5, 10, 20]; /* ms between attempts */

/** What the heap is for download: room, and where the bytes went. */
class Sink {
  writes = 0;
  largest = 0;
  isPlaced = true;
  place() {}
  next() {}
  reserve(size) {
    this.bytes = Buffer.alloc(size);
  }
  write(at, chunk) {
    this.writes++;
    this.largest = Math.max(this.largest, chunk.length);
    this.bytes.set(chunk, at);
  }
  view(at, size) {
    return this.bytes.subarray(at, at + size);
  }
  digest(size) {
    return createHash("sha256").update(this.bytes.subarray(0, size)).digest("hex");
  }
}

const ANSWERS = {
  "/whole": (res) => res.writeHead(200, { "Content-Length": FILE.length }).end(FILE),
  "/unannounced": (res) => {
    res.writeHead(200);
    res.write(FILE.subarray(0, 1_000_000));
    res.end(FILE.subarray(1_000_000));
  },
  "/gzip": (res) => {
    const body = gzipSync(FILE);
    res.writeHead(200, { "Content-Length": body.length, "Content-Encoding": "gzip" }).end(body);
  },
  "/empty": (res) => res.writeHead(200, { "Content-Length": 0 }).end(),
  "/cut": (res) => {
    res.writeHead(200, { "Content-Length": FILE.length });
    res.write(FILE.subarray(0, 1_000_000), () => setTimeout(() => res.destroy(), 20));
  },
  "/stuck": (res) => {
    res.writeHead(200, { "Content-Length": FILE.length });
    res.write(FILE.subarray(0, 1_000_000));
  },
  "/gone": (res) => res.writeHead(410).end("gone"),
};

let requests = [];

/* /flaky?cuts=2&…: a file of one tag that breaks off after a third of what is asked for, `cuts` times. With `change`
 * a request number, the file is another one from that request on; `mode` says what the server makes of Range. */
function flaky(req, res) {
  const query = new URL(req.url, "http://x").searchParams;
  const n = requests.length;
  const isChanged = query.has("change") && n >= Number(query.get("change"));
  const file = isChanged ? CHANGED : FILE;
  const tag = { none: {}, weak: { ETag: 'W/"1"' }, date: { "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT" } };
  const headers = tag[query.get("tag")] ?? { ETag: isChanged ? '"2"' : '"1"' };
  const mode = query.get("mode");
  const range = mode === "deaf" ? null : /^bytes=(\d+)-$/.exec(req.headers.range ?? "");
  if (range && mode === "416") return res.writeHead(416).end();
  const from = range ? Number(range[1]) + (mode === "off" ? 1 : 0) : 0;
  const body = file.subarray(from);
  headers["Content-Length"] = body.length;
  if (range) headers["Content-Range"] = `bytes ${from}-${file.length - 1}/${file.length}`;
  res.writeHead(range ? 206 : 200, headers);
  if (n > Number(query.get("cuts"))) return res.end(body);
  res.write(body.subarray(0, body.length / 3), () => setTimeout(() => res.destroy(), 20));
}

const server = http.createServer((req, res) => {
  requests.push(req.headers.range ?? "all");
  if (req.url.startsWith("/flaky")) flaky(req, res);
  else ANSWERS[req.url](res);
});
let origin;
before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

async function get(source, options = {}) {
  const sink = new Sink();
  const progress = [];
  requests = [];
  const onProgress = (p) => progress.push([p.loaded, p.total]);
  const arrived = await download(source, sink, { delays: DELAYS, ...options }, onProgress);
  return { sink, progress, arrived };
}

function failureOf(source, options) {
  return get(source, options).then(
    () => assert.fail("it was downloaded"),
    (reason) => reason,
  );
}

test("an announced file goes to its place chunk by chunk", async () => {
  const { sink, progress } = await get(`${origin}/whole`);
  assert.ok(sink.bytes.equals(FILE));
  assert.ok(sink.writes > 1, `${sink.writes} writes`);
  assert.deepEqual(progress[0], [0, FILE.length]);
  assert.deepEqual(progress.at(-1), [FILE.length, FILE.length]);
});

test("a file of unknown length is waited for", async () => {
  const { sink, progress } = await get(`${origin}/unannounced`);
  assert.ok(sink.bytes.equals(FILE));
  assert.equal(progress[0][1], undefined);
  assert.deepEqual(progress.at(-1), [FILE.length, FILE.length]);
});

test("the length of a compressed answer is not believed", async () => {
  const { sink } = await get(`${origin}/gzip`);
  assert.ok(sink.bytes.equals(FILE));
});

test("an empty file is empty, which the library will refuse", async () => {
  assert.equal((await get(`${origin}/empty`)).sink.bytes.length, 0);
});

test("a Blob, a stream, a file handle and an ArrayBuffer arrive whole", async () => {
  assert.ok((await get(new Blob([FILE]))).sink.bytes.equals(FILE));
  assert.ok((await get(new Blob([FILE]).stream())).sink.bytes.equals(FILE));
  assert.ok((await get({ name: "a.gguf", getFile: async () => new Blob([FILE]) })).sink.bytes.equals(FILE));
  const buffer = FILE.buffer.slice(FILE.byteOffset, FILE.byteOffset + FILE.length);
  assert.ok((await get(buffer)).sink.bytes.equals(FILE));
});

test("an ArrayBuffer arrives in pieces, of which a sink may keep the first", async () => {
  const { sink, progress } = await get(FILE.buffer.slice(FILE.byteOffset, FILE.byteOffset + FILE.length));
  assert.deepEqual([sink.writes, sink.largest], [3, 1 << 20]);
  assert.deepEqual(progress, [[FILE.length, FILE.length]]);
});

test("a path that is missing, or of a folder, is refused in Node.js with its reason", async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "bitnet-test-"));
  t.after(() => rm(folder, { recursive: true }));
  const messageOf = (file) =>
    openLocal(file).then(
      () => assert.fail(`${file} was opened`),
      (error) => [error.code, error.message],
    );
  assert.deepEqual(await messageOf(folder), ["blob.read", `${folder}: it cannot be read: it is no file`]);
  const missing = path.join(folder, "a.gguf");
  const [code, message] = await messageOf(missing);
  assert.equal(code, "blob.read");
  assert.match(message, /a\.gguf: it cannot be read: ENOENT: no such file/);
  await writeFile(missing, FILE);
  assert.ok(Buffer.from(await (await openLocal(missing)).arrayBuffer()).equals(FILE));
});

test("a refusal has the status and the address", async () => {
  const error = await failureOf(`${origin}/gone`);
  assert.ok(error instanceof BitnetError);
  assert.deepEqual([error.code, error.status], ["fetch.http", 410]);
  assert.match(error.message, /\/gone: the server answered 410 Gone\./);
});

test("a connection that breaks off is told from one that is refused", async () => {
  const cut = await failureOf(`${origin}/cut`);
  assert.equal(cut.code, "fetch.network");
  assert.match(cut.message, /\/cut: the download broke off: /);
  assert.deepEqual(requests, ["all", "all", "all", "all"], "one attempt and as many more as there are delays");
  const refused = await failureOf("http://127.0.0.1:1/");
  assert.equal(refused.code, "fetch.network");
  assert.match(refused.message, /the request failed: /);
});

test("more or fewer bytes than announced are an error with both numbers", async () => {
  const stream = (size) => () => new Blob([FILE.subarray(0, size)]).stream();
  const claims = (size, actual) => Object.assign(new Blob([FILE.subarray(0, size)]), { stream: stream(actual) });
  const short = await failureOf(claims(1000, 999));
  assert.equal(short.code, "fetch.length");
  assert.match(short.message, /1000 bytes were announced and only 999 came/);
  const long = await failureOf(claims(1000, 1001));
  assert.equal(long.code, "fetch.length");
  assert.match(long.message, /1000 bytes were announced and more came/);
});

test("a download that is stuck has said how far it came", async () => {
  const loaded = [];
  const error = await download(`${origin}/stuck`, new Sink(), { delays: [], stallMs: 300 }, (p) => loaded.push(p.loaded))
    .catch((e) => e);
  assert.equal(error.code, "fetch.network");
  assert.equal(Math.max(...loaded), 1_000_000);
});

test("a connection that says nothing more is given up", async () => {
  const error = await failureOf(`${origin}/stuck`, { stallMs: 50 });
  assert.equal(error.code, "fetch.network");
  assert.match(error.message, /\/stuck: the download broke off: nothing came for 0\.05 seconds/);
  assert.equal(requests.length, 1 + DELAYS.length);
});

test("what the sink throws is passed on", async () => {
  const full = new BitnetError("session.memory", "no");
  const sink = {
    reserve() {
      throw full;
    },
  };
  await assert.rejects(download(`${origin}/whole`, sink, {}, () => undefined), full);
});

test("a broken connection is taken up where it broke, as long as it comes further", async () => {
  const { sink, progress } = await get(`${origin}/flaky?cuts=3`);
  assert.ok(sink.bytes.equals(FILE));
  assert.deepEqual(requests, ["all", "bytes=1000000-", "bytes=1666666-", "bytes=2111110-"]);
  assert.ok(progress.every(([loaded], i) => i === 0 || loaded >= progress[i - 1][0]), "never back");
});

for (const [what, query, asked] of [
  ["a server that ignores Range", "cuts=1&mode=deaf", ["all", "bytes=1000000-"]],
  ["a server that refuses Range", "cuts=1&mode=416", ["all", "bytes=1000000-", "all"]],
  ["a server that sends another range than the one asked for", "cuts=1&mode=off", ["all", "bytes=1000000-", "all"]],
  ["a file that nothing identifies", "cuts=1&tag=none", ["all", "all"]],
  ["a file with a weak ETag only", "cuts=1&tag=weak", ["all", "all"]],
  ["a file with a date only", "cuts=1&tag=date", ["all", "bytes=1000000-"]],
]) {
  test(`${what} arrives whole after a cut`, async () => {
    const { sink } = await get(`${origin}/flaky?${query}`);
    assert.ok(sink.bytes.equals(FILE));
    assert.deepEqual(requests, asked);
  });
}

test("a file that changed in between is loaded anew, and the two are not mixed", async () => {
  const { sink } = await get(`${origin}/flaky?cuts=1&change=2`);
  assert.ok(sink.bytes.equals(CHANGED));
  assert.deepEqual(requests, ["all", "bytes=1000000-", "all"]);
});

test("a whole with the digest asked for is taken, another one is not", async () => {
  const sha256 = createHash("sha256").update(FILE).digest("hex");
  const url = `${origin}/whole`;
  assert.equal((await get(url, { sha256 })).arrived.cache, "none");
  assert.ok((await get(new Blob([FILE]), { sha256 })).sink.bytes.equals(FILE));
  for (const source of [url, new Blob([FILE])]) {
    const error = await failureOf(source, { sha256: sha256.replace(/^./, (c) => (c === "0" ? "1" : "0")) });
    assert.equal(error.code, "load.sha256");
    assert.match(error.message, /its SHA-256 is not the one that was asked for/);
  }
});
