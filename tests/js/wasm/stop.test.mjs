// stop.test.mjs: how soon a stop takes effect: behind the token, the chunk of a prompt or the pass that is being
// computed. The real module, with the worker's own Runner around it, and a hand on every step.
import assert from "node:assert/strict";
import test from "node:test";
import { importTs } from "./load_ts.mjs";
import { GOLDEN, MODEL, startModule } from "./module.mjs";

const { Runner, Session } = await importTs("running", "session");
const CHUNK = 32; /* n_batch of the engine in targets/wasm/exports.c */
const LONG_PROMPT = "Once upon a time there was a little boy who had a little dog and a little cat. ".repeat(12);

async function loadedSession() {
  const glue = await startModule();
  const session = new Session({ glue, memory: glue.memory });
  session.reserve(MODEL.length);
  session.write(0, MODEL);
  session.load(1, { nCtx: 0, cacheTypeK: "auto", cacheTypeV: "auto", stagedHead: "auto" });
  return session;
}

const request = (prompt) => ({ prompt, fields: { temp: 0 }, stop: [], logitBias: [], seed: 1n });

/**
 * Runs one generation; onStep is called within every step, with its number from 1 and a stop that reaches the worker
 * as `how` says, and the answer tells how many steps were made and what the end was.
 */
async function run(prompt, how, onStep) {
  const session = await loadedSession();
  const flag = how === "flag" ? new Int32Array(new SharedArrayBuffer(4)) : undefined;
  const { port1, port2 } = new MessageChannel();
  let n_steps = 0;
  const stop = () => (flag ? Atomics.store(flag, 0, 1) : port1.postMessage("abort"));
  const step = session.step.bind(session);
  session.step = () => {
    onStep(++n_steps, stop);
    return step();
  };
  const end = await new Promise((resolve, reject) => {
    const post = (reply) => {
      if (reply.type === "done") resolve(reply.value);
      if (reply.type === "error") reject(new Error(reply.error.message));
    };
    const runner = new Runner(session, post, () => undefined, () => undefined);
    port2.onmessage = () => runner.cancel(7);
    runner.add(session.submit(request(prompt)), 7, flag);
  });
  port1.close();
  session.free();
  return { n_steps, ...end };
}

for (const how of ["flag", "message"]) {
  test(`by ${how}, a stop while a token is computed lets at most one more be computed`, async () => {
    for (const at of [1, 2, 7, 20]) {
      const { finishReason, timings } = await run(GOLDEN.prompts[0].text, how, (n, stop) => n === at && stop());
      assert.equal(finishReason, "cancelled");
      /* step `at` makes token `at`: a short prompt is one step, and gives the first */
      const n = timings.n_generated;
      assert.ok(n >= at && n <= at + 1, `stopped in step ${at}, ${n} tokens were generated`);
    }
  });

  test(`by ${how}, a stop within a long prompt lets at most one more chunk be computed`, async () => {
    const { finishReason, timings, n_steps } = await run(LONG_PROMPT, how, (n, stop) => n === 2 && stop());
    assert.equal(finishReason, "cancelled");
    assert.ok(timings.n_prompt > 6 * CHUNK, `the prompt has ${timings.n_prompt} tokens`);
    assert.equal(timings.n_generated, 0);
    assert.ok(n_steps <= 4, `${n_steps} steps: two, one more, and the one that ends it`);
  });
}

test("with a flag, several tokens of a small model share a slice", async () => {
  const session = await loadedSession();
  const messages = [];
  await new Promise((resolve, reject) => {
    const post = (reply) => {
      messages.push(reply);
      if (reply.type === "done") resolve();
      if (reply.type === "error") reject(new Error(reply.error.message));
    };
    const runner = new Runner(session, post, () => undefined, () => undefined);
    const flag = new Int32Array(new SharedArrayBuffer(4));
    runner.add(session.submit({ ...request(GOLDEN.prompts[0].text), fields: { temp: 0, maxTokens: 200 } }), 7, flag);
  });
  const sent = messages.filter(({ type }) => type === "tokens").map(({ tokens }) => tokens.length);
  assert.equal(sent.reduce((a, b) => a + b), 200);
  assert.ok(sent.length < 200, "every token was a message of its own");
  session.free();
});

test("an evaluation is stopped between two passes, and the session can evaluate again", async () => {
  const session = await loadedSession();
  const replies = [];
  let n_steps = 0;
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const step = session.scoreStep.bind(session);
  session.scoreStep = () => {
    if (++n_steps === 3) Atomics.store(flag, 0, 1);
    return step();
  };
  await new Promise((resolve) => {
    const post = (reply) => {
      replies.push(reply);
      if (replies.filter(({ type }) => type === "done" || type === "error").length === 2) resolve();
    };
    const runner = new Runner(session, post, () => undefined, () => undefined);
    runner.addScore(1, LONG_PROMPT, flag);
    runner.addScore(2, "Once upon a time there was a king.", undefined);
  });
  const [aborted, done] = replies.filter(({ type }) => type === "done" || type === "error");
  assert.deepEqual([aborted.id, aborted.error.code], [1, "aborted"]);
  assert.equal(done.id, 2);
  assert.ok(done.value.nTokens > 5 && done.value.perplexity > 1);
  assert.equal(n_steps, 3 + 1);
  session.free();
});
