// predict.test.mjs: what is said of a model from its header: the arithmetic, and how the header is fetched.
import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";
import { importTs } from "./load_ts.mjs";
import { MODEL, startModule } from "./module.mjs";

const { headReader, readHeader } = await importTs("header");
const { availableMemory, predictMemory, predictRates, predictionText, spreadOf } = await importTs("roofline");
const { Session } = await importTs("session");

const HOW = { nCtx: 0, cacheTypeK: "auto", cacheTypeV: "auto", stagedHead: "auto" };
const GB = 1e9;

/** The shape of BitNet-b1.58-2B-4T. */
const LARGE = { nLayer: 30, nEmbd: 2560, ternaryBytes: 521e6, headBytes: 657e6, tokenBytes: 1178e6, isStaged: false };
const RATES = {
  read: [20 * GB, 20 * GB],
  ternary: [10 * GB, 10 * GB],
  head: [10 * GB, 10 * GB],
  prompt: [100 * GB, 100 * GB],
  floats: [2 * GB, 2 * GB],
  fork: [1e-6, 1e-6],
};
const predict = (plan = {}, rates = {}, tier = "relaxed", threads = 1) =>
  predictRates({ ...LARGE, ...plan }, { ...RATES, ...rates }, tier, threads);

test("a token takes the time that its bytes take, and somewhat more", () => {
  const { expected } = predict().tokensPerSecond;
  const bound = (10 * GB) / LARGE.tokenBytes;
  assert.ok(expected < bound && expected > 0.9 * bound, `${expected} of ${bound}`);
});

test("every prediction is a range of positive numbers around what is expected", () => {
  for (const plan of [{}, { nLayer: 1, nEmbd: 64, ternaryBytes: 1e4, headBytes: 1e4, tokenBytes: 2e4 }]) {
    for (const tier of ["c", "simd128", "relaxed"]) {
      for (const { low, expected, high } of Object.values(predict(plan, {}, tier, 4))) {
        assert.ok(0 < low && low < expected && expected < high && Number.isFinite(high), `${low} ${expected} ${high}`);
      }
    }
  }
});

test("more of anything is slower; a faster machine is faster", () => {
  const speed = (...args) => predict(...args).tokensPerSecond.expected;
  assert.ok(speed({ ternaryBytes: 600e6, tokenBytes: 1257e6 }) < speed());
  assert.ok(speed({ headBytes: 700e6, tokenBytes: 1221e6 }) < speed());
  assert.ok(speed({ tokenBytes: 1200e6 }) < speed(), "what is neither ternary nor the head");
  assert.ok(speed({ nLayer: 40 }) < speed());
  assert.ok(speed({}, { ternary: [11 * GB, 11 * GB] }) > speed());
  assert.ok(speed({}, { fork: [1e-3, 1e-3] }) < speed());
  const prompt = (...args) => predict(...args).promptTokensPerSecond.expected;
  assert.ok(prompt({ ternaryBytes: 600e6 }) < prompt());
  assert.ok(prompt({}, {}, "relaxed", 4) > prompt());
  assert.equal(prompt({ headBytes: 700e6 }), prompt(), "a prompt needs the head once");
});

test("a head in stages reads less than half of its bytes, where there are kernels for it", () => {
  const speed = (plan, tier) => predict(plan, {}, tier).tokensPerSecond.expected;
  const gain = speed({ isStaged: true }) / speed({});
  assert.ok(gain > 1.3 && gain < 1.6, String(gain));
  assert.equal(speed({ isStaged: true }, "c"), speed({}, "c"));
  const small = { headBytes: 2e6, tokenBytes: 523e6 };
  assert.equal(speed({ ...small, isStaged: true }), speed(small));
});

test("a machine that measures unsteadily gets a wider range", () => {
  const width = ({ low, high }) => high / low;
  const steady = predict().tokensPerSecond;
  const shaky = predict({}, { ternary: [7 * GB, 10 * GB, 12 * GB] }).tokensPerSecond;
  assert.equal(shaky.expected, steady.expected);
  assert.ok(width(shaky) > 1.3 * width(steady));
  assert.equal(spreadOf([7, 10, 12]), 0.25);
});

test("memory fits or does not, in a sentence with both numbers", () => {
  const heap = 2 ** 32;
  assert.equal(availableMemory(undefined, heap), undefined);
  assert.equal(availableMemory(4, heap), 2 ** 31);
  assert.equal(availableMemory(32, heap), heap);
  const small = predictMemory(1.44e9, 2 ** 31, heap);
  assert.deepEqual([small.needed, small.available, small.fits], [1.44e9, 2 ** 31, true]);
  assert.equal(small.text, "The model needs 1.4 GB of memory; that fits about 2.1 GB here.");
  const large = predictMemory(5e9, undefined, heap);
  assert.equal(large.text, "The model needs 5.0 GB of memory; that does not fit the 4.3 GB of a tab.");
  assert.equal(predictMemory(366e6, 2 ** 29, heap).fits, true);
  const text = predictionText({ low: 4.04, expected: 12.4, high: 20 });
  assert.equal(text, "About 12 tokens a second are expected, 4.0 to 20.");
});

/** A server of one file; answers with what `respond` makes of a request, or with the range asked for. */
async function serveFile(t, file, respond) {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(request.headers.range);
    if (respond) return respond(request, response);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range);
    const end = Math.min(Number(to), file.length - 1);
    response.writeHead(206, { "Content-Range": `bytes ${from}-${end}/${file.length}` });
    response.end(file.subarray(Number(from), end + 1));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}/model.gguf`, seen };
}

const FILE = Buffer.from(Uint8Array.from({ length: 5 << 20 }, (_, i) => i * 7));

/** Parses a pretended header of `size` bytes. */
const needs = (size) => (head) => (head.bytes.length < size ? size : head);

async function codeOf(promise) {
  const error = await promise.then(() => assert.fail("nothing was refused"), (e) => e);
  return error instanceof Error && "code" in error ? error.code : assert.fail(error);
}

test("a header comes in ranges, each byte once, until it is whole", async (t) => {
  const { url, seen } = await serveFile(t, FILE);
  const head = await readHeader(headReader(url), needs(2_500_000));
  assert.equal(head.fileSize, FILE.length);
  assert.deepEqual(seen, ["bytes=0-1048575", "bytes=1048576-2499999"]);
  assert.deepEqual(Buffer.from(head.bytes), FILE.subarray(0, 2_500_000));
});

test("a parser that asks for little more gets twice as much", async (t) => {
  const { url, seen } = await serveFile(t, FILE);
  let n = 0;
  await readHeader(headReader(url), (head) => (++n < 3 ? head.bytes.length + 1 : "done"));
  assert.deepEqual(seen.map((range) => Number(range.split("-")[1]) + 1), [1 << 20, 2 << 20, 4 << 20]);
});

test("a server without ranges sends the beginning and is hung up on", async (t) => {
  const { url } = await serveFile(t, FILE, (_, response) => {
    response.writeHead(200, { "Content-Length": 1e12 });
    response.write(FILE);
  });
  const head = await readHeader(headReader(url), needs(1_500_000));
  assert.equal(head.fileSize, 1e12);
  assert.deepEqual(Buffer.from(head.bytes), FILE.subarray(0, head.bytes.length));
});

test("a server that hides where a range lies is asked for all, and hung up on", async (t) => {
  const { url, seen } = await serveFile(t, FILE, (request, response) => {
    if (request.headers.range) return response.writeHead(206).end(FILE.subarray(0, 1 << 20));
    response.writeHead(200, { "Content-Length": FILE.length });
    response.end(FILE);
  });
  const head = await readHeader(headReader(url), needs(1_500_000));
  assert.deepEqual([head.fileSize, seen.length], [FILE.length, 4]);
  assert.deepEqual(Buffer.from(head.bytes), FILE.subarray(0, head.bytes.length));
});

test("a file smaller than the first range is read whole", async (t) => {
  const { url } = await serveFile(t, FILE.subarray(0, 1000));
  const head = await readHeader(headReader(url), needs(1000));
  assert.deepEqual(Buffer.from(head.bytes), FILE.subarray(0, 1000));
});

test("what cannot be predicted is refused with a code", async (t) => {
  const read = async (respond, size = 100) => {
    const { url } = await serveFile(t, FILE, respond);
    return codeOf(readHeader(headReader(url), needs(size)));
  };
  assert.equal(await read((_, response) => response.writeHead(404).end()), "fetch.http");
  assert.equal(await read((_, response) => response.writeHead(200).end(FILE)), "fetch.length", "no length");
  assert.equal(await read((_, response) => response.destroy()), "fetch.network");
  assert.equal(await read(undefined, FILE.length + 1), "fetch.length", "a header longer than the file");
  const endless = { bytes: new Uint8Array(1), fileSize: 2 ** 40 };
  let n = 0;
  const reader = async () => ({ ...endless, bytes: new Uint8Array(++n) });
  assert.equal(await codeOf(readHeader(reader, () => 2 ** 30)), "predict.header");
});

test("a connection that breaks off or says nothing more inside the header is a network error", async (t) => {
  const begin = (response) => {
    response.writeHead(206, { "Content-Range": `bytes 0-${(1 << 20) - 1}/${FILE.length}` });
    return new Promise((resolve) => response.write(FILE.subarray(0, 1000), resolve));
  };
  const errorOf = async (respond) => {
    const { url } = await serveFile(t, FILE, respond);
    return readHeader(headReader(url, 100), needs(1_000_000)).then(() => assert.fail("it was read"), (e) => e);
  };
  const broken = await errorOf((_, response) => begin(response).then(() => response.destroy()));
  assert.equal(broken.code, "fetch.network");
  assert.match(broken.message, /model\.gguf: the download broke off: /);
  const silent = await errorOf((_, response) => begin(response));
  assert.equal(silent.code, "fetch.network");
  assert.match(silent.message, /the download broke off: nothing came for 0\.1 seconds/);
  const mute = await errorOf(() => undefined);
  assert.equal(mute.code, "fetch.network");
  assert.match(mute.message, /the request failed: nothing came for 0\.1 seconds/);
});

test("a file that cannot be read any more says so by its name", async () => {
  const gone = async () => {
    throw new Error("it was moved");
  };
  for (const source of [
    { name: "a.gguf", getFile: gone },
    { name: "a.gguf", getFile: async () => Object.assign(new Blob(["x"]), { slice: () => ({ arrayBuffer: gone }) }) },
  ]) {
    const error = await readHeader(headReader(source), needs(10)).catch((e) => e);
    assert.deepEqual([error.code, error.message], ["blob.read", "a.gguf: it cannot be read: it was moved"]);
  }
});

test("the header of a real model says what the loaded model says of itself", async () => {
  const glue = await startModule();
  const session = new Session({ glue, memory: glue.memory });
  const parse = ({ bytes, fileSize }) => session.plan(bytes, fileSize, HOW);
  const plan = await readHeader(headReader(new Blob([MODEL])), parse);
  session.reserve(MODEL.length);
  session.write(0, MODEL);
  session.load(1, HOW);
  const info = session.info();
  const same = ["arch", "name", "nParams", "fileSize", "nCtx", "nCtxTrain", "nLayer", "nEmbd", "nVocab", "tokenBytes"];
  for (const key of same) assert.equal(plan[key], info[key], key);
  const parts = plan.ternaryBytes + plan.headBytes;
  assert.ok(plan.headBytes > 0 && parts > plan.headBytes && parts <= plan.tokenBytes, `${parts} bytes`);
  assert.ok(glue.memory.buffer.byteLength < 2 * plan.memory.total, "the memory planned is about what is taken");
});

test("a file that is no model is refused by its first bytes", async () => {
  const glue = await startModule();
  const session = new Session({ glue, memory: glue.memory });
  const parse = ({ bytes, fileSize }) => session.plan(bytes, fileSize, HOW);
  const page = new Blob(["<!doctype html>".repeat(100)]);
  assert.equal(await codeOf(readHeader(headReader(page), parse)), "gguf.magic");
});
