// openai.test.mjs: libbitnet/openai: the shapes that OpenAI's client has, filled by a real model.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { GOLDEN, ROOT } from "./module.mjs";

const { load } = await import(new URL("dist/index.js", ROOT));
const { APIError, APIUserAbortError, OpenAI } = await import(new URL("dist/openai.js", ROOT));
const [FIRST] = GOLDEN.prompts;

let model, client;
before(async () => {
  model = await load(fileURLToPath(new URL("models/bitnet-tales/bitnet-tales.i2_s.gguf", ROOT)));
  client = new OpenAI(model);
});
after(() => model.dispose());

const chat = (params, options) =>
  client.chat.completions.create(
    { messages: [{ role: "user", content: FIRST.text }], max_tokens: 40, temperature: 0, ...params },
    options,
  );
const complete = (params, options) =>
  client.completions.create({ prompt: FIRST.text, max_tokens: 40, temperature: 0, ...params }, options);

/** Of the generations that are begun from now on. */
function watchResults(t) {
  const results = [];
  const generate = model.generate.bind(model);
  t.mock.method(model, "generate", (...args) => {
    const generation = generate(...args);
    results.push(generation.result);
    return generation;
  });
  return results;
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test("a chat completion has the text, why it ended, and what it took", async () => {
  const { id, created, usage, ...rest } = await chat({ model: "any name" });
  assert.match(id, /^chatcmpl-\w+$/);
  assert.ok(Math.abs(created - Date.now() / 1000) < 60);
  assert.deepEqual(rest, {
    object: "chat.completion",
    model: "any name",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: FIRST.greedy40_text, refusal: null },
        finish_reason: "length",
        logprobs: null,
      },
    ],
  });
  assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens], [5, 40, 45]);
});

test("a streamed chat begins with the role, ends with the reason, and its text is the same", async () => {
  const chunks = await collect(await chat({ stream: true }));
  assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "" });
  assert.equal(chunks.map((c) => c.choices[0].delta.content ?? "").join(""), FIRST.greedy40_text);
  assert.deepEqual(chunks.slice(0, -1).map((c) => c.choices[0].finish_reason), Array(chunks.length - 1).fill(null));
  assert.deepEqual([chunks.at(-1).choices[0].delta, chunks.at(-1).choices[0].finish_reason], [{}, "length"]);
  assert.equal(new Set(chunks.map((c) => c.id)).size, 1);
  for (const chunk of chunks) {
    assert.deepEqual([chunk.object, chunk.model], ["chat.completion.chunk", "bitnet-tales"]);
    assert.ok(!("usage" in chunk));
  }
});

test("usage comes in a last chunk without choices, when it is asked for", async () => {
  const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.deepEqual(last.usage.total_tokens, 45);
  assert.deepEqual(new Set(chunks.map((c) => c.usage)), new Set([null]));
});

test("a completion continues its prompt, whole and streamed", async () => {
  const whole = await complete({});
  assert.equal(whole.object, "text_completion");
  assert.equal(whole.choices[0].text, FIRST.greedy40_text);
  const chunks = await collect(await complete({ stream: true }));
  assert.equal(chunks.map((c) => c.choices[0].text).join(""), FIRST.greedy40_text);
  assert.equal(chunks.at(-1).choices[0].finish_reason, "length");
});

test("stop, logit_bias, seed and the parts of a message are understood", async () => {
  const stopped = await complete({ stop: " king" });
  assert.equal(stopped.choices[0].text, FIRST.greedy40_text.split(" king")[0]);
  assert.equal(stopped.choices[0].finish_reason, "stop");
  const biased = await complete({ max_tokens: 1, logit_bias: { [FIRST.greedy40[1]]: 100 } });
  assert.equal(biased.choices[0].text, await model.detokenize([FIRST.greedy40[1]]));
  const [a, b] = [await complete({ temperature: 1.2, seed: 5 }), await complete({ temperature: 1.2, seed: 5 })];
  assert.equal(a.choices[0].text, b.choices[0].text);
  const parts = FIRST.text.split(" ").map((word, i) => ({ type: "text", text: (i ? " " : "") + word }));
  const answer = await chat({ messages: [{ role: "developer", content: parts }], max_completion_tokens: 40 });
  assert.equal(answer.choices[0].message.content, FIRST.greedy40_text);
});

test("leaving the loop ends the generation, and so do a signal and the stream's controller", async (t) => {
  const results = watchResults(t);
  for await (const _ of await chat({ stream: true, max_tokens: null })) break;
  assert.equal((await results[0]).finishReason, "cancelled");
  const stream = await chat({ stream: true, max_tokens: null });
  await assert.rejects(async () => {
    for await (const _ of stream) stream.controller.abort();
  }, APIUserAbortError);
  const aborted = AbortSignal.abort();
  await assert.rejects(chat({}, { signal: aborted }), APIUserAbortError);
  const controller = new AbortController();
  const running = chat({ max_tokens: null }, { signal: controller.signal });
  controller.abort();
  await assert.rejects(running, { name: "APIUserAbortError", message: "Request was aborted." });
  assert.equal((await chat({})).choices[0].message.content, FIRST.greedy40_text);
});

test("a signal that outlives its requests keeps nothing of them", async (t) => {
  const { signal } = new AbortController();
  let n = 0;
  for (const [name, change] of [["addEventListener", 1], ["removeEventListener", -1]]) {
    const plain = signal[name].bind(signal);
    t.mock.method(signal, name, (...args) => ((n += change), plain(...args)));
  }
  const running = chat({ max_tokens: 2 }, { signal });
  assert.equal(n, 1, "it is listened to");
  await running;
  await collect(await chat({ max_tokens: 2, stream: true }, { signal }));
  assert.equal(n, 0);
});

const REFUSED = [
  ["two choices", { n: 2 }, 400, "unsupported_parameter", "n"],
  ["tools", { tools: [{ type: "function" }] }, 400, "unsupported_parameter", "tools"],
  ["logprobs", { logprobs: true }, 400, "unsupported_parameter", "logprobs"],
  ["an image", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }, 400, "unsupported_parameter"],
  ["a role there is not", { messages: [{ role: "robot", content: "" }] }, 400, "chat.role"],
  ["a temperature out of range", { temperature: -1 }, 400, "sampler.range"],
  ["no token at all", { max_tokens: 0 }, 400, "options"],
  ["a prompt longer than the window", { messages: [{ role: "user", content: "word ".repeat(600) }] }, 400,
    "context_length_exceeded"],
];
for (const [what, params, status, code, param] of REFUSED) {
  test(`${what}: refused as OpenAI's client would say it`, async () => {
    for (const stream of [false, true]) {
      const asked = (async () => {
        const answer = await chat({ ...params, stream });
        if (stream) await collect(answer);
      })();
      await assert.rejects(asked, (error) => {
        assert.ok(error instanceof APIError, String(error));
        assert.deepEqual([error.status, error.code, error.type], [status, code, "invalid_request_error"]);
        if (param) assert.equal(error.param, param);
        return true;
      });
    }
  });
}

test("parameters that ask for nothing are taken", async () => {
  const params = { logprobs: false, tools: [], user: "me", n: 1, store: false, presence_penalty: 0, stop: null };
  assert.equal((await chat(params)).choices[0].message.content, FIRST.greedy40_text);
});
