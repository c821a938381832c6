/* producing.mjs: producers over a websocket for the browser specs, which do what no program of ours can be made to do:
 * fail, lose, send hostile names, or write numbers that are known beforehand. */
import { hello, join } from "../serve/harness.mjs";

const METRICS = [
  { name: "time_to_first_token", unit: "s", kind: "hist", min: 0, help: "request accepted to first token sampled" },
  { name: "time_per_output_token", unit: "s", kind: "hist", min: 0, help: "one decode step" },
  { name: "generation_tokens", unit: "{token}", kind: "counter", min: 0, help: "tokens sampled" },
  { name: "memory", unit: "By", kind: "gauge", min: 0, help: "resident memory" },
  { name: "memory_slope_low", unit: "By/s", kind: "gauge", help: "least growth of memory" },
  { name: "energy_cpu", unit: "J", kind: "counter", min: 0, help: "energy of the processor packages" },
  { name: "kernel_time", unit: "s", kind: "counter", min: 0, help: "time in a kernel" },
  { name: "kernel_bytes", unit: "By", kind: "counter", min: 0, help: "bytes a kernel read" },
  { name: "kernel_least_time", unit: "s", kind: "counter", min: 0, help: "what the bounds allow" },
  { name: "tracker_overhead", unit: "1", kind: "gauge", min: -1, help: "cost of the tracker" },
  { name: "tracker_overhead_low", unit: "1", kind: "gauge", min: -1, help: "its interval" },
  { name: "tracker_overhead_high", unit: "1", kind: "gauge", min: -1, help: "its interval" },
];

/** The bucket of a value, as docs/protocol.md defines it. */
export function bucketOf(value) {
  const exponent = Math.floor(Math.log2(value));
  return (exponent + 30) * 16 + Math.floor((value / 2 ** exponent - 1) * 16);
}

export function gauge(value) {
  return { n: 1, sum: value, min: value, max: value, last: value };
}

/** Of a counter, where n is how many records it was added up from. */
export function added(sum, n = 1) {
  return { n, sum, min: sum / n, max: sum / n, last: sum / n };
}

export function histogram(values) {
  const counts = new Map();
  for (const value of values) counts.set(bucketOf(value), (counts.get(bucketOf(value)) ?? 0) + 1);
  const b = [...counts].sort(([x], [y]) => x - y).flat();
  const sum = values.reduce((x, y) => x + y, 0);
  return { n: values.length, sum, min: Math.min(...values), max: Math.max(...values), last: values.at(-1), b };
}

/** A producer of `server`, welcomed. `window`, `op` and `gap` number what they send; `end` ends without a bye. */
export async function produce(t, server, overrides = {}) {
  const peer = await join(t, { authority: `127.0.0.1:${server.port}` });
  peer.ws.on("message", (data) => {
    const { type, id } = JSON.parse(data);
    if (type === "ping") peer.send({ type: "pong", id, rx_ms: Date.now(), tx_ms: Date.now() });
  });
  const random = Array.from({ length: 16 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
  const now = Date.now();
  peer.send(hello({ instance: random, t_ms: now, started_ms: now, expected: {}, metrics: METRICS, ...overrides }));
  await peer.heard("welcome", (m) => m.type === "welcome");
  let seq = 0;
  const send = (message) => peer.send({ seq: ++seq, ...message });
  return {
    peer,
    window: (m, more = {}) => send({ type: "window", t_ms: Date.now(), span_ms: 100, dropped: 0, m, ...more }),
    op: (more = {}) =>
      send({ type: "op", t_ms: Date.now(), id: 1, parent: 0, op: "generate", strategy: "", duration_s: 1, ok: true, ...more }),
    gap: (n, more = {}) => {
      peer.send({ type: "gap", seq: seq + 1, to: seq + 10, n, reason: "spool_full", ...more });
      seq += 10;
    },
    bye: (reason = "done") => peer.send({ type: "bye", reason, seq }),
    end: () => peer.ws.terminate(),
  };
}

/** A window of decoding at `rate` tokens/s with some jitter, as a model would report it. */
export function decoding(rate, { memory = 18e6, spread = 0.2, joules = 0 } = {}) {
  const n = Math.max(1, Math.round(rate / 10));
  const each = Array.from({ length: n }, () => (1 / rate) * (1 + spread * (Math.random() - 0.3)));
  return {
    time_per_output_token: histogram(each),
    generation_tokens: added(n, n),
    memory: gauge(memory),
    ...(joules > 0 ? { energy_cpu: added(joules * n) } : {}),
  };
}

/** Series of a window: seconds and bytes of each kernel. */
export function kernels(parts) {
  return Object.entries(parts).flatMap(([kernel, [seconds, bytes, least]]) => [
    { name: "kernel_time", labels: { kernel }, ...added(seconds, 10) },
    { name: "kernel_bytes", labels: { kernel }, ...added(bytes, 10) },
    ...(least === undefined ? [] : [{ name: "kernel_least_time", labels: { kernel }, ...added(least, 10) }]),
  ]);
}
