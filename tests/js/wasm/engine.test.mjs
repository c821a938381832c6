// engine.test.mjs: the simd128 module gives the golden tokens, and refuses with the library's own sentences.
import assert from "node:assert/strict";
import test from "node:test";
import { GOLDEN, loadedSession, MODEL, Session, startModule, SWITCH } from "./module.mjs";

const E_FORMAT = -4;
const E_NOMEM = -1;
const MB = 1e6;

test("greedy tokens are those of the golden file", async (t) => {
  const session = await loadedSession();
  for (const { text, ids, greedy40, greedy40_text } of GOLDEN.prompts) {
    await t.test(text, () => {
      const answer = session.generate(text);
      assert.deepEqual(answer.promptIds, ids);
      assert.deepEqual(answer.ids, greedy40);
      assert.equal(answer.text, greedy40_text);
      assert.equal(answer.finishReason, "length");
    });
  }
});

test("with the head's rows split where they lie the tokens are the same", async () => {
  const module = await startModule();
  const [split, left] = [new Session(module), new Session(module)];
  assert.equal(split.load(MODEL, 0, SWITCH.on), 0);
  assert.equal(left.load(MODEL, 0, SWITCH.off), 0);
  const [rows, same] = [split, left].map((session) => Buffer.from(session.bytes(session.at, MODEL.length)));
  assert.notDeepEqual(rows, same);
  for (const { text, greedy40 } of GOLDEN.prompts) assert.deepEqual(split.generate(text).ids, greedy40, text);
  const sampled = (session) => session.generate("Once upon a time", { sampler: [1, 0], seed: 5n }).ids; /* all logits */
  assert.deepEqual(sampled(split), sampled(left));
});

test("the same prompts in one queue give the same tokens, in order", async () => {
  const session = await loadedSession();
  const requests = GOLDEN.prompts.map(({ text }) => session.submit(text));
  const ended = [];
  const answers = session.finish(requests, (event) => event.kind === "end" && ended.push(event.request));
  assert.deepEqual(answers.map(({ ids }) => ids), GOLDEN.prompts.map(({ greedy40 }) => greedy40));
  assert.deepEqual(ended, requests);
});

test("text is tokenized as in the golden file", async () => {
  const session = await loadedSession();
  for (const { text, ids } of GOLDEN.tokenizer) assert.deepEqual(session.tokenize(text, 0), ids, text);
});

test("a seed repeats its text, and another seed gives another", async () => {
  const session = await loadedSession();
  const sampled = (seed) => session.generate("Once upon a time", { sampler: [0.8, 40], seed }).ids;
  const first = sampled(2n ** 63n + 1n);
  assert.deepEqual(sampled(2n ** 63n + 1n), first);
  assert.notDeepEqual(sampled(7n), first);
});

test("a cancelled request ends as cancelled and keeps what it wrote", async () => {
  const session = await loadedSession();
  const id = session.submit("Once upon a time", { maxTokens: 400 });
  let n = 0;
  const [answer] = session.finish([id], (event) => {
    if (event.kind === "token" && ++n === 5) session.m._bitnet_session_cancel(session.self, id);
  });
  assert.equal(answer.finishReason, "cancelled");
  assert.deepEqual(answer.ids, GOLDEN.prompts[0].greedy40.slice(0, 5));
});

test("timings are measured and add up", async () => {
  const { timings: t } = (await loadedSession()).generate("Once upon a time");
  assert.deepEqual([t.n_prompt, t.n_prompt_computed, t.n_generated], [5, 5, 40]);
  assert.ok(t.prefill_s > 0 && t.decode_s > 0 && t.ttft_s >= t.prefill_s, JSON.stringify(t));
  const apart = Math.abs(t.ttft_s + t.decode_s - t.e2e_s);
  assert.ok(apart < 1e-6, `ttft + decode is ${t.ttft_s + t.decode_s}, e2e is ${t.e2e_s}`); /* %.9g */
});

test("metrics follow from the timings, and add up over requests until they are reset", async () => {
  const session = await loadedSession();
  const sum = () => JSON.parse(session.text(session.m._bitnet_session_metrics(session.self)));
  const { timings: t, metrics: m } = session.generate("Once upon a time");
  assert.ok(Math.abs(m.decode_tokens_per_second - 39 / t.decode_s) < 1e-6 * m.decode_tokens_per_second); /* %.9g */
  const parts = [m.tokenize_s, m.prefill_s, m.decode_pass_s, m.sample_s, m.detokenize_s];
  const all = parts.reduce((a, b) => a + b);
  assert.ok(Math.min(...parts) >= 0 && m.decode_pass_s > 0, parts.join()); /* a clock in a module may be coarse */
  assert.ok(all <= m.e2e_s * (1 + 1e-6), `parts of ${all} s in ${m.e2e_s}`);
  assert.equal(m.cache_hit_rate, 0);
  assert.ok(m.memory_size > MODEL.length, `${m.memory_size}`);
  assert.deepEqual(sum(), m);
  session.generate("Once upon a time");
  const two = sum();
  assert.deepEqual([two.n_requests, two.n_generated, two.cache_hit_rate], [2, 80, 0.4]); /* 4 of 10 prompt tokens */
  session.m._bitnet_session_reset_metrics(session.self);
  for (const [name, value] of Object.entries(sum())) assert.equal(value, name.startsWith("n_") ? 0 : null, name);
});

test("two sessions of one module do not disturb each other", async () => {
  const module = await startModule();
  const [a, b] = [new Session(module), new Session(module)];
  assert.equal(a.load(MODEL), 0);
  assert.equal(b.load(MODEL), 0);
  const [first, second] = GOLDEN.prompts;
  const [ra, rb] = [a.submit(first.text), b.submit(second.text)];
  for (let i = 0; i < 20; i++) for (const s of [a, b]) module._bitnet_session_step(s.self);
  assert.deepEqual(a.finish([ra])[0].ids, first.greedy40);
  a.free();
  assert.deepEqual(b.finish([rb])[0].ids, second.greedy40);
});

test("the model is described as it is", async () => {
  const info = (await loadedSession({ nCtx: 64 })).info();
  const { arch, name, backend, tier, threads, nCtx, nCtxTrain, fileSize, nParams } = info;
  assert.deepEqual(
    { arch, name, backend, tier, threads, nCtx, nCtxTrain, fileSize },
    {
      arch: "bitnet-b1.58",
      name: "bitnet-tales",
      backend: "cpu",
      tier: "simd128",
      threads: 1,
      nCtx: 64,
      nCtxTrain: 512,
      fileSize: MODEL.length,
    },
  );
  assert.ok(nParams > 6.9e6 && nParams < 7e6, `${nParams} parameters`);
});

test("the file is in the heap once", async () => {
  const session = await loadedSession();
  const info = session.info();
  session.generate("Once upon a time");
  /* The file, the context, and 8 MB: static data, the stack, the tracker, vocabulary, growth in steps of 4. */
  const allowed = MODEL.length + info.contextSize + 8 * MB;
  const heap = session.m.memory.buffer.byteLength;
  assert.ok(heap <= allowed, `the heap has ${heap} bytes; ${allowed} are allowed`);
});

test("the first bytes of a file tell what it takes, and the heap takes no more", async () => {
  const session = new Session(await startModule());
  let bytes = 16;
  const asked = [];
  let plan = session.plan(MODEL.subarray(0, bytes), MODEL.length);
  for (; plan.needMore; plan = session.plan(MODEL.subarray(0, bytes), MODEL.length)) {
    assert.ok(plan.needMore > bytes && plan.needMore < MODEL.length / 2, `${plan.needMore} after ${bytes}`);
    asked.push((bytes = plan.needMore));
  }
  assert.ok(asked.length >= 1 && asked.length < 12, asked.join());
  const { memory } = plan;
  assert.equal(plan.fileSize, MODEL.length);
  assert.equal(plan.nCtx, 512);
  assert.ok(plan.ternaryBytes > 0 && plan.headBytes > 0 && plan.ternaryBytes + plan.headBytes <= MODEL.length);
  assert.equal(memory.total, memory.file + memory.copies + memory.kv + memory.scratch);
  assert.equal(session.load(MODEL), 0);
  session.generate("Once upon a time");
  const info = session.info();
  assert.equal(info.contextSize, memory.kv);
  const heap = session.m.memory.buffer.byteLength;
  assert.ok(heap <= memory.total + 8 * MB, `the heap has ${heap} bytes; ${memory.total} were planned`);
  assert.ok(heap >= memory.file + memory.kv, `the heap has ${heap} bytes`);
});

test("a plan follows the window and the type of the cache", async () => {
  const session = new Session(await startModule());
  const kv = (options) => session.plan(MODEL, MODEL.length, options).memory.kv;
  assert.equal(kv({ nCtx: 64 }), kv({ nCtx: 512 }) / 8);
  assert.equal(kv({ nCtx: 64, cacheType: 1 }), kv({ nCtx: 64, cacheType: 2 }) / 2);
  const copies = (staged) => session.plan(MODEL, MODEL.length, { staged }).memory.copies;
  assert.equal(copies(0), 0); /* a head as small as this lies in a cache */
  const head = 2 * 4096 * 256; /* f16, split where it lies: tables, and a high byte of some weights */
  assert.ok(copies(1) > head / 10 && copies(1) < head / 5, `${copies(1)} bytes of a head of ${head}`);
  assert.equal(copies(2), 0);
  const page = Buffer.from("<!doctype html><title>404</title>");
  assert.equal(session.plan(page, page.length), undefined);
  assert.equal(session.error().id, "gguf.magic");
  session.free();
});

test("memory that is needed beside the file is asked for with it", async () => {
  const session = new Session(await startModule("bitnet-simd128", { maximumMb: 32 }));
  assert.equal(session.m._bitnet_session_reserve(session.self, 4 * MB, 64 * MB), 0);
  assert.match(session.error().text, /68\.0 MB, of which its file is 4\.0 MB/);
  assert.notEqual(session.m._bitnet_session_reserve(session.self, 4 * MB, 8 * MB), 0);
  session.free();
});

test("decoding does not grow the heap", async () => {
  const session = await loadedSession();
  session.generate("Once upon a time", { maxTokens: 4 });
  const before = session.m.memory.buffer.byteLength;
  session.generate("Once upon a time", { maxTokens: 400 });
  assert.equal(session.m.memory.buffer.byteLength, before);
});

const DAMAGED = [
  ["an empty file", Buffer.alloc(0), /^gguf\./],
  ["a web page", Buffer.from("<!doctype html><title>404</title>".repeat(9)), /^gguf\.magic$/],
  ["a file cut in its header", MODEL.subarray(0, 1000), /^gguf\./],
  ["a file cut in a tensor", MODEL.subarray(0, MODEL.length - 1), /^gguf\.tensor\.extent$/],
];
for (const [what, bytes, id] of DAMAGED) {
  test(`${what} is refused with an id and a sentence`, async () => {
    const session = new Session(await startModule());
    assert.equal(session.load(bytes), E_FORMAT);
    const error = session.error();
    assert.match(error.id, id);
    assert.match(error.text, /\w+ .*\w+/);
    session.free();
  });
}

test("an unknown architecture is refused by its name", async () => {
  const session = new Session(await startModule());
  const file = Buffer.from(MODEL);
  const at = file.indexOf("bitnet-b1.58", file.indexOf("general.architecture"));
  file.write("bitnet-b9.99", at);
  assert.ok(session.load(file) < 0);
  assert.match(session.error().id, /^model\.arch/);
  assert.match(session.error().text, /bitnet-b9\.99/);
});

test("a file larger than the browser gives is refused, and the session can be freed", async () => {
  const session = new Session(await startModule("bitnet-simd128", { maximumMb: 16 }));
  assert.equal(session.m._bitnet_session_reserve(session.self, 64 * MB, 0), 0);
  assert.equal(session.error().id, "session.memory");
  assert.match(session.error().text, /64\.0 MB/);
  session.free();
});

test("a context larger than the browser gives is refused", async () => {
  const session = new Session(await startModule("bitnet-simd128", { maximumMb: 64 }));
  assert.equal(session.load(MODEL, 1 << 20), E_NOMEM);
  assert.equal(session.error().id, "ctx.memory");
  session.free();
});

test("a request that cannot be answered is refused, and the next one is answered", async () => {
  const session = await loadedSession({ nCtx: 32 });
  const refused = [
    ["request.too_long", "word ".repeat(40), {}],
    ["request.utf8", new Uint8Array([0x48, 0xff]), {}],
    ["sampler.range", "Once", { sampler: [NaN] }],
    ["sampler.range", "Once", { sampler: [0, 1e12] }],
    ["sampler.range", "Once", { sampler: [0, 0, 1.5] }],
  ];
  for (const [id, prompt, options] of refused) {
    assert.equal(session.submit(prompt, options), 0, id);
    assert.equal(session.error().id, id, session.error().text);
  }
  const answer = session.generate(GOLDEN.prompts[0].text, { maxTokens: 10 });
  assert.deepEqual(answer.ids, GOLDEN.prompts[0].greedy40.slice(0, 10));
});
