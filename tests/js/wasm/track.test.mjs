// track.test.mjs: transport_ws.c and the report behind it, against a websocket server that plays the hub.
//
// The module finds WebSocket where a browser has it; here it is the one of the package "ws".
import assert from "node:assert/strict";
import test from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { loadedSession } from "./module.mjs";

globalThis.WebSocket = WebSocket;

const STATES = { [-1]: "off", 0: "connecting", 1: "open", 2: "refused" };
const PATIENCE_MS = 5000; /* the first retry comes after at most half a second */

/** A hub that keeps every message and acknowledges it; onConnection may misbehave. */
async function startHub(onConnection = () => undefined) {
  const hub = { messages: [], connections: [], protocols: [], lastSeq: 0 };
  hub.server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: ([first]) => first });
  hub.server.on("connection", (socket) => {
    hub.connections.push(socket);
    hub.protocols.push(socket.protocol);
    socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, false);
      const message = JSON.parse(data);
      hub.messages.push(message);
      if (message.type === "hello") {
        socket.send(JSON.stringify({ type: "welcome", proto: 1, hub: "test", store: "", resume_from: hub.lastSeq + 1,
          window: 64, durable: true, t_ms: Date.now() }));
      } else if (message.seq !== undefined && message.type !== "bye") {
        hub.lastSeq = message.seq;
        if (!hub.isForgetful) socket.send(JSON.stringify({ type: "ack", seq: message.seq }));
      }
    });
    onConnection(socket, hub.connections.length);
  });
  await new Promise((resolve) => hub.server.once("listening", resolve));
  hub.url = `ws://127.0.0.1:${hub.server.address().port}/tracker`;
  hub.stop = () => {
    for (const socket of hub.connections) socket.terminate();
    return new Promise((resolve) => hub.server.close(resolve));
  };
  return hub;
}

function trackOpen(session, url, instance = 0x9f86d081884c7d65n) {
  const [urlAt] = session.put(url);
  const [nameAt] = session.put("tab");
  const [hostAt] = session.put("Chrome 156 on X11");
  const status = session.m._bitnet_session_track_open(session.self, urlAt, nameAt, hostAt, instance);
  for (const at of [urlAt, nameAt, hostAt]) session.m._free(at);
  assert.equal(status, 0);
}

function trackState(session) {
  const at = session.m._malloc(4);
  const state = STATES[session.m._bitnet_session_track_state(session.self, at)];
  const [code] = new Int32Array(session.m.memory.buffer, at, 1);
  session.m._free(at);
  return { state, code };
}

/** Pumps as the worker does until the condition holds. */
async function pumpUntil(session, condition, what) {
  const end = Date.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(Date.now() < end, `not within ${PATIENCE_MS} ms: ${what}`);
    session.m._bitnet_session_pump(session.self);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const windows = (hub) => hub.messages.filter(({ type }) => type === "window");

test("a session greets the hub, reports what it measures, and says goodbye", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  const session = await loadedSession();
  trackOpen(session, hub.url);
  assert.equal(trackState(session).state, "connecting");
  await pumpUntil(session, () => hub.messages.length > 0, "a hello");
  assert.deepEqual(trackState(session), { state: "open", code: 0 });
  assert.deepEqual(hub.protocols, ["bitnet-tracker.v1"]);
  const { type, role, name, instance, backend, tier, threads, model, host } = hub.messages[0];
  assert.deepEqual(
    { type, role, name, instance, backend, tier, threads, model, host },
    {
      type: "hello",
      role: "producer",
      name: "tab",
      instance: "9f86d081884c7d65",
      backend: "wasm",
      tier: "simd128",
      threads: 1,
      model: "bitnet-tales",
      host: "Chrome 156 on X11",
    },
  );

  session.generate("Once upon a time", { maxTokens: 40 });
  await pumpUntil(session, () => windows(hub).some(({ m }) => m.generation_tokens), "a window with tokens");
  const tokens = windows(hub).reduce((sum, { m }) => sum + (m.generation_tokens?.sum ?? 0), 0);
  assert.equal(tokens, 40);
  await pumpUntil(session, () => windows(hub).some(({ m }) => m.memory), "the memory metric");
  const heap = windows(hub).findLast(({ m }) => m.memory).m.memory.last;
  assert.equal(heap, session.m.memory.buffer.byteLength);
  const numbers = hub.messages.filter(({ type }) => type === "window" || type === "op").map(({ seq }) => seq);
  assert.deepEqual(numbers, numbers.map((_, i) => i + 1));

  const closed = new Promise((resolve) => hub.connections[0].once("close", resolve));
  session.free();
  assert.equal(await closed, 1000);
  assert.deepEqual(hub.messages.at(-1), { type: "bye", reason: "done", seq: windows(hub).length + 1 });
});

test("threads that compute and the heap that the page measured arrive in windows, nonsense does not", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  const session = await loadedSession();
  trackOpen(session, hub.url);
  for (const bytes of [12_345_678, NaN, Infinity]) session.m._bitnet_session_js_heap(session.self, bytes);
  await pumpUntil(session, () => windows(hub).some(({ m }) => m.js_heap && m.threads), "both metrics");
  const { m, dropped } = windows(hub).find(({ m }) => m.js_heap);
  assert.deepEqual(m.js_heap, { n: 1, sum: 12345678, min: 12345678, max: 12345678, last: 12345678 });
  assert.equal(m.threads.last, 1);
  assert.equal(dropped, 2);
  session.free();
});

test("a lost connection is made again, with a new hello", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  const session = await loadedSession();
  trackOpen(session, hub.url);
  await pumpUntil(session, () => hub.messages.length > 0, "a hello");
  hub.connections[0].terminate();
  await pumpUntil(session, () => trackState(session).state === "connecting", "the loss to be noticed");
  assert.equal(trackState(session).code, 1006);
  await pumpUntil(session, () => hub.messages.filter((m) => m.type === "hello").length === 2, "a second hello");
  assert.deepEqual(trackState(session), { state: "open", code: 0 });
  session.free();
});

test("what the hub has not acknowledged is said again, to a hub that has lost it, with its number", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  hub.isForgetful = true;
  const session = await loadedSession();
  trackOpen(session, hub.url);
  session.generate("Once upon a time", { maxTokens: 40 });
  await pumpUntil(session, () => windows(hub).some(({ m }) => m.generation_tokens), "a window with tokens");
  const first = windows(hub);
  hub.messages.length = 0;
  hub.lastSeq = 0; // nothing of it reached a disk
  hub.isForgetful = false;
  hub.connections[0].terminate();
  await pumpUntil(session, () => windows(hub).length >= first.length, "all of it again");
  assert.deepEqual(windows(hub).slice(0, first.length), first);
  session.free();
});

test("a ping is answered with the times it came and went", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  const session = await loadedSession();
  trackOpen(session, hub.url);
  await pumpUntil(session, () => windows(hub).length > 0, "a window");
  hub.connections[0].send(JSON.stringify({ type: "ping", id: 7 }));
  const sent = Date.now();
  await pumpUntil(session, () => hub.messages.some(({ type }) => type === "pong"), "a pong");
  const { id, rx_ms, tx_ms } = hub.messages.find(({ type }) => type === "pong");
  assert.equal(id, 7);
  assert.ok(rx_ms >= sent - 2 && rx_ms <= tx_ms && tx_ms <= Date.now() + 2, `${sent} ${rx_ms} ${tx_ms} ${Date.now()}`);
  session.free();
});

test("an absent hub is tried again, later and later, and costs the answer nothing", async () => {
  const hub = await startHub();
  await hub.stop();
  const session = await loadedSession();
  let attempts = 0;
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      attempts++;
    }
  };
  trackOpen(session, hub.url);
  const begin = Date.now();
  await pumpUntil(session, () => Date.now() - begin > 2000, "two seconds");
  globalThis.WebSocket = WebSocket;
  /* waits of 0.25–0.5, 0.5–1, 1–2 s: after two seconds at least two more attempts, at most three */
  assert.ok(attempts >= 2 && attempts <= 4, `${attempts} attempts in two seconds`);
  assert.equal(trackState(session).state, "connecting");
  assert.equal(session.generate("Once upon a time").ids.length, 40);
  session.free();
});

for (const [code, why] of [
  [1008, "a policy"],
  [4401, "its token"],
  [4409, "another connection of the same instance"],
]) {
  test(`a hub that closes because of ${why} is left alone`, async (t) => {
    const hub = await startHub((socket) => socket.once("message", () => socket.close(code)));
    t.after(hub.stop);
    const session = await loadedSession();
    trackOpen(session, hub.url);
    await pumpUntil(session, () => trackState(session).state === "refused", "the refusal");
    assert.equal(trackState(session).code, code);
    const begin = Date.now();
    await pumpUntil(session, () => Date.now() - begin > 800, "time for a retry");
    assert.equal(hub.connections.length, 1);
    session.free();
  });
}

test("a hub that does not read is refused more than 256 KiB, not waited for", async (t) => {
  const hub = await startHub();
  t.after(hub.stop);
  const session = await loadedSession();
  let sent = 0;
  globalThis.WebSocket = class extends WebSocket {
    get bufferedAmount() {
      return 256 * 1024 + 1;
    }
    send(text) {
      sent += text.length;
      super.send(text);
    }
  };
  trackOpen(session, hub.url);
  await pumpUntil(session, () => trackState(session).state === "open", "a connection");
  globalThis.WebSocket = WebSocket;
  for (let i = 0; i < 5; i++) session.m._bitnet_session_pump(session.self);
  assert.equal(sent, 0);
  session.free();
});

test("a url that the browser will not even try ends tracking, not the session", async () => {
  const session = await loadedSession();
  globalThis.WebSocket = class {
    constructor() {
      throw new DOMException("insecure", "SecurityError");
    }
  };
  trackOpen(session, "ws://hub.example/tracker");
  const stack = session.m.stackSave();
  assert.throws(() => session.m._bitnet_session_pump(session.self), { name: "SecurityError" });
  session.m.stackRestore(stack);
  globalThis.WebSocket = WebSocket;
  session.m._bitnet_session_track_close(session.self);
  assert.equal(trackState(session).state, "off");
  assert.equal(session.generate("Once upon a time").ids.length, 40);
  session.free();
});
