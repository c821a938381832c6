/* tracker.ts: libbitnet/tracker: what an engine reports about itself, when a page wants to see it without a hub.
 *
 *   import { collect } from "libbitnet/tracker";
 *   const reports = collect();
 *   const model = await load("model.gguf", { track: reports });
 *   …
 *   reports.metric("decode_rate")?.last
 *
 * The messages are those of docs/protocol.md, made by the same C code that a hub gets them from; docs/metrics.md
 * says what is measured.
 */

export interface HelloMessage {
  type: "hello";
  proto: 1;
  role: "producer";
  name: string;
  /** 16 hex digits, random. */
  instance: string;
  /** Which connection of this instance it is, 1, 2, 3 … */
  epoch: number;
  /** The number of the first message that is not yet written. */
  next_seq: number;
  backend: string;
  tier: string;
  threads: number;
  model: string;
  /** The machine, and the version of the library. */
  host: string;
  build: string;
  /** Unix time in milliseconds. */
  t_ms: number;
  started_ms: number;
  /** What this machine should reach, by metric, where that is known. */
  expected: Record<string, number>;
  metrics: {
    name: string;
    unit: string;
    kind: "hist" | "gauge" | "counter";
    min?: number;
    max?: number;
    help: string;
  }[];
}

/** One metric in one window. */
export interface WindowMetric {
  n: number;
  sum: number;
  min: number;
  max: number;
  last: number;
  /** Of histograms: bucket and count in turn (docs/protocol.md). */
  b?: number[];
}

/** A metric split up by labels. */
export interface WindowSeries extends WindowMetric {
  name: string;
  labels: Record<string, string>;
}

export interface WindowMessage {
  type: "window";
  /** 1, 2, 3 … */
  seq: number;
  t_ms: number;
  span_ms: number;
  /** Records lost since the start. */
  dropped: number;
  /** Only what was measured in this window. */
  m: Record<string, WindowMetric>;
  s?: WindowSeries[];
}

/** A finished operation: of an engine, each request is one. What was not measured is absent. */
export interface OpMessage {
  type: "op";
  /** Of the same count as windows. */
  seq: number;
  /** Its end. */
  t_ms: number;
  id: number;
  /** The operation around it, or 0. */
  parent: number;
  /** What was done: "generate". */
  op: string;
  /** What did it, such as the SIMD tier. */
  strategy: string;
  duration_s: number;
  ok: boolean;
  error?: string;
  units?: number;
  unit?: string;
  quality?: number;
  peak_memory?: number;
  peak_gpu_memory?: number;
  cpu?: number;
  gpu?: number;
  meta?: Record<string, number | string>;
}

export interface ByeMessage {
  type: "bye";
  reason: string;
  /** The last number used. */
  seq: number;
}

export type TrackerMessage = HelloMessage | WindowMessage | OpMessage | ByeMessage;

/** Windows that are kept: five minutes, as on the dashboard; and operations. */
const KEPT_WINDOWS = 3000;
const KEPT_OPS = 256;

export interface MetricTotals {
  n: number;
  sum: number;
  min: number;
  max: number;
  last: number;
}

export interface Reports {
  /** Hand this object, or only this function, to load as `track`. */
  onReport: (message: TrackerMessage) => void;
  readonly hello: HelloMessage | undefined;
  /** The latest, oldest first. */
  readonly windows: readonly WindowMessage[];
  readonly ops: readonly OpMessage[];
  readonly isOver: boolean;
  /** Over all windows there were; undefined: not measured yet. */
  metric(name: string): MetricTotals | undefined;
}

/** Keeps what is reported; `onReport` is called for each message behind that. */
export function collect(onReport?: (message: TrackerMessage) => void): Reports {
  const totals = new Map<string, MetricTotals>();
  const windows: WindowMessage[] = [];
  const ops: OpMessage[] = [];
  let hello: HelloMessage | undefined;
  let isOver = false;

  const add = (name: string, { n, sum, min, max, last }: WindowMetric): void => {
    const before = totals.get(name);
    if (!before) totals.set(name, { n, sum, min, max, last });
    else {
      before.n += n;
      before.sum += sum;
      before.min = Math.min(before.min, min);
      before.max = Math.max(before.max, max);
      before.last = last;
    }
  };
  const take = (message: TrackerMessage): void => {
    if (message.type === "hello") hello = message;
    if (message.type === "bye") isOver = true;
    if (message.type === "op") {
      ops.push(message);
      if (ops.length > KEPT_OPS) ops.shift();
    }
    if (message.type === "window") {
      windows.push(message);
      if (windows.length > KEPT_WINDOWS) windows.shift();
      for (const [name, metric] of Object.entries(message.m)) add(name, metric);
    }
    onReport?.(message);
  };
  return {
    onReport: take,
    get hello() {
      return hello;
    },
    windows,
    ops,
    get isOver() {
      return isOver;
    },
    metric: (name) => totals.get(name),
  };
}
