// report.test.mjs: libbitnet/tracker: the messages that a hub would get, handed to a callback, and what collect makes
// of them. track.test.mjs has the hub.
import assert from "node:assert/strict";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { loadedSession, ROOT } from "./module.mjs";

const { load } = await import(new URL("dist/index.js", ROOT));
const { collect } = await import(new URL("dist/tracker.js", ROOT));
const FILE = fileURLToPath(new URL("models/bitnet-tales/bitnet-tales.i2_s.gguf", ROOT));

test("a callback gets hello, windows in order, and bye", async () => {
  const messages = [];
  const model = await load(FILE, { track: { name: "my page", onReport: (message) => messages.push(message) } });
  await model.generate("Once upon a time", { maxTokens: 40, temp: 0 }).result;
  await model.dispose();
  const [hello, ...numbered] = messages;
  const bye = numbered.pop();
  const windows = numbered.filter((message) => message.type === "window");
  const [op] = numbered.filter((message) => message.type === "op");
  const { type, name, backend, tier, threads, model: file } = hello;
  assert.deepEqual(
    { type, name, backend, tier, threads, file },
    { type: "hello", name: "my page", backend: "wasm", tier: "simd128", threads: 1, file: "bitnet-tales" },
  );
  assert.deepEqual(bye, { type: "bye", reason: "done", seq: numbered.length });
  assert.deepEqual([op.op, op.ok, op.units, op.unit], ["generate", true, 40, "token"]);
  assert.ok(windows.length > 0);
  assert.deepEqual(numbered.map(({ seq }) => seq), numbered.map((_, i) => i + 1));
  assert.equal(windows.reduce((sum, { m }) => sum + (m.generation_tokens?.sum ?? 0), 0), 40);
});

test("collect adds up what was measured", async () => {
  const seen = [];
  const reports = collect((message) => seen.push(message.type));
  const model = await load(FILE, { track: reports });
  for (const maxTokens of [10, 30]) await model.generate("Once upon a time", { maxTokens, temp: 0 }).result;
  assert.equal(reports.isOver, false);
  await model.dispose();
  assert.equal(reports.isOver, true);
  assert.equal(reports.hello.name, "tab");
  assert.equal(reports.metric("generation_tokens").sum, 40);
  assert.equal(reports.metric("requests").sum, 2);
  const { n, min, max, last, sum } = reports.metric("time_to_first_token");
  assert.equal(n, 2);
  assert.ok(min > 0 && min <= last && last <= max && sum <= 2 * max);
  assert.equal(reports.metric("no such thing"), undefined);
  assert.deepEqual(reports.ops.map(({ units }) => units), [10, 30]);
  assert.equal(seen.length, 1 + reports.windows.length + reports.ops.length + 1);
});

test("a mailbox that nobody empties is filled again from the spool, in order, and costs the answer nothing", async () => {
  const session = await loadedSession();
  const [nameAt] = session.put("tab");
  const [hostAt] = session.put("here");
  assert.equal(session.m._bitnet_session_track_open(session.self, 0, nameAt, hostAt, 1n), 0);
  const take = () => {
    const at = session.m._bitnet_session_track_take(session.self);
    return at === 0 ? undefined : JSON.parse(session.text(at));
  };
  const drain = () => {
    const messages = [];
    for (let message = take(); message; message = take()) messages.push(message);
    return messages;
  };
  const ROUNDS = 400;
  for (let i = 0; i < ROUNDS; i++) {
    session.generate("Once upon a time", { maxTokens: 1 });
    session.m._bitnet_session_pump(session.self);
  }
  const [hello, ...kept] = drain();
  assert.equal(hello.type, "hello");
  assert.ok(kept.length > 50 && kept.length < 2 * ROUNDS, `${kept.length} messages`);
  for (let more = 1; more > 0; ) {
    session.m._bitnet_session_pump(session.self);
    const messages = drain();
    more = messages.length;
    kept.push(...messages);
  }
  assert.deepEqual(kept.map(({ seq }) => seq), kept.map((_, i) => i + 1));
  const windows = kept.filter((message) => message.type === "window");
  assert.equal(windows.reduce((sum, { m }) => sum + (m.requests?.sum ?? 0), 0), ROUNDS);
  assert.equal(kept.length - windows.length, ROUNDS); // operations
  assert.equal(windows.at(-1).dropped, 0);
  session.m._bitnet_session_track_close(session.self);
  assert.deepEqual(drain(), [{ type: "bye", reason: "done", seq: kept.length }]);
  assert.equal(session.generate("Once upon a time").ids.length, 40);
  session.free();
});
