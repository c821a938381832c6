// download.test.mjs: bytes from a server that behaves, and from servers that do not.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import http from "node:http";
import test, { after, before } from "node:test";
import { gzipSync } from "node:zlib";
import { importTs } from "./load_ts.mjs";

const { download, BitnetError } = await importTs("download", "errors");

const FILE = randomBytes(3_000_000);
const never = new AbortController().signal;

/** What the heap is for download: room, and where the bytes went. */
class Sink {
  writes = 0;
  reserve(size) {
    assert.equal(this.bytes, undefined, "reserve comes once");
    this.bytes = Buffer.alloc(size);
  }
  write(at, chunk) {
    this.writes++;
    this.bytes.set(chunk, at);
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

const server = http.createServer((req, res) => ANSWERS[req.url](res));
let origin;
before(async () => {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

async function get(source) {
  const sink = new Sink();
  const progress = [];
  await download(source, sink, never, (loaded, total) => progress.push([loaded, total]));
  return { sink, progress };
}

function failureOf(source) {
  return get(source).then(
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

test("a Blob and an ArrayBuffer arrive whole", async () => {
  assert.ok((await get(new Blob([FILE]))).sink.bytes.equals(FILE));
  const buffer = FILE.buffer.slice(FILE.byteOffset, FILE.byteOffset + FILE.length);
  assert.ok((await get(buffer)).sink.bytes.equals(FILE));
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

test("a download that is stuck has said how far it came, and an abort ends it", async () => {
  const controller = new AbortController();
  const arrived = 1_000_000;
  const onProgress = (loaded) => loaded === arrived && controller.abort();
  const error = await download(`${origin}/stuck`, new Sink(), controller.signal, onProgress).catch((e) => e);
  assert.equal(error.name, "AbortError");
});

test("what the sink throws is passed on", async () => {
  const full = new BitnetError("session.memory", "no");
  const sink = {
    reserve() {
      throw full;
    },
  };
  await assert.rejects(download(`${origin}/whole`, sink, never, () => undefined), full);
});
