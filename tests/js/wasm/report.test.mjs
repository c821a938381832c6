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
  const [hello, ...windows] = messages;
  const bye = windows.pop();
  const { type, name, backend, tier, threads, model: file } = hello;
  assert.deepEqual(
    { type, name, backend, tier, threads, file },
    { type: "hello", name: "my page", backend: "wasm", tier: "simd128", threads: 1, file: "bitnet-tales" },
  );
  assert.deepEqual(bye, { type: "bye", reason: "done" });
  assert.ok(windows.length > 0);
  assert.deepEqual(windows.map(({ seq }) => seq), windows.map((_, i) => i + 1));
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
  assert.deepEqual(seen, ["hello", ...reports.windows.map(() => "window"), "bye"]);
});

test("a mailbox that nobody empties loses messages, counts them, and costs the answer nothing", async () => {
  const session = await loadedSession();
  const [nameAt] = session.put("tab");
  assert.equal(session.m._bitnet_session_track_open(session.self, 0, nameAt, 1n), 0);
  const take = () => {
    const at = session.m._bitnet_session_track_take(session.self);
    return at === 0 ? undefined : JSON.parse(session.text(at));
  };
  const drain = () => {
    const messages = [];
    for (let message = take(); message; message = take()) messages.push(message);
    return messages;
  };
  for (let i = 0; i < 400; i++) {
    session.generate("Once upon a time", { maxTokens: 1 });
    session.m._bitnet_session_pump(session.self);
  }
  const kept = drain();
  assert.equal(kept[0].type, "hello");
  assert.ok(kept.length > 50 && kept.length < 400, `${kept.length} messages`);
  session.generate("Once upon a time", { maxTokens: 1 });
  session.m._bitnet_session_pump(session.self);
  const [next] = drain();
  assert.equal(next.seq, kept.at(-1).seq + 1);
  assert.ok(next.dropped > 0, "what was lost is not counted");
  session.m._bitnet_session_track_close(session.self);
  assert.deepEqual(drain(), [{ type: "bye", reason: "done" }]);
  assert.equal(session.generate("Once upon a time").ids.length, 40);
  session.free();
});
