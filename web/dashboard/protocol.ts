/* protocol.ts: bitnet-tracker.v1 as a viewer hears it (docs/protocol.md).
 *
 * Owns the types and reads every message. Producers are strangers: every field is
 * checked, strings are cut, and a message that does not fit is undefined, never an exception. Metrics
 * live in Maps, so that a metric named "__proto__" is just a name.
 */
import { BUCKETS, type BucketPairs } from "./histogram";

export const SUBPROTOCOL = "bitnet-tracker.v1";

export type MetricKind = "hist" | "gauge" | "counter";

export interface MetricInfo {
  name: string;
  unit: string;
  kind: MetricKind;
  help: string;
}

export interface WindowMetric {
  n: number;
  sum: number;
  min: number;
  max: number;
  last: number;
  b: BucketPairs; // empty unless the metric is a histogram
}

export interface Series extends WindowMetric {
  name: string;
  labels: Map<string, string>;
}

export interface Welcome {
  type: "welcome";
  hub: string;
  store: string;
  t_ms: number;
}

export interface Hello {
  type: "hello";
  producer: number;
  name: string;
  instance: string;
  backend: string;
  tier: string;
  model: string;
  host: string;
  build: string;
  threads: number;
  started_ms: number;
  expected: Map<string, number>;
  metrics: Map<string, MetricInfo>;
}

export interface Window {
  type: "window";
  producer: number;
  seq: number;
  t_ms: number;
  span_ms: number;
  dropped: number;
  m: Map<string, WindowMetric>;
  s: Series[];
}

export interface Operation {
  type: "op";
  producer: number;
  seq: number;
  t_ms: number;
  id: number;
  parent: number;
  op: string;
  strategy: string;
  duration_s: number;
  ok: boolean;
  error: string;
  units: number; // NaN when not measured
  unit: string;
  quality: number;
  meta: Map<string, string>;
}

export interface Bye {
  type: "bye";
  producer: number;
  reason: string;
}

/** What a producer lost: messages seq to to, with n samples (NaN: nobody knows). */
export interface Gap {
  type: "gap";
  producer: number;
  seq: number;
  to: number;
  n: number;
  reason: string;
}

/** What this viewer missed because it read too slowly. */
export interface Missed {
  type: "missed";
  n: number;
}

export interface Clock {
  type: "clock";
  producer: number;
  offset_ms: number;
  error_ms: number;
}

export interface Alert {
  type: "alert";
  rule: string;
  producer: number;
  metric: string;
  state: "firing" | "resolved";
  value: number;
  limit: number;
  t_ms: number;
}

export interface Health {
  type: "health";
  status: string;
  reasons: string[];
  store: string;
}

export type HubMessage = Welcome | Hello | Window | Operation | Bye | Gap | Missed | Clock | Alert | Health;

const MAX_STRING = 200;
const MAX_METRICS = 128;
const MAX_LABELS = 16;
const MAX_LIST = 32;

export type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/* What would act on the text around it instead of being read: control characters, line separators, and marks that
 * embed, override or isolate a direction; and halves of pairs. Right-to-left letters stay; the page isolates them (bdi). */
const UNREADABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

/** A readable string of at most 200 characters, no half of a pair at its end; "" for anything else. */
export function text(value: unknown): string {
  if (typeof value !== "string") return "";
  const cut = value.length > MAX_STRING ? `${value.slice(0, MAX_STRING).replace(/[\ud800-\udbff]$/, "")}…` : value;
  return cut.replace(UNREADABLE, "\ufffd");
}

export function num(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : NaN;
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function parseMetricInfo(value: unknown): MetricInfo | undefined {
  if (!isFields(value) || text(value["name"]) === "") return undefined;
  const kind = value["kind"];
  return {
    name: text(value["name"]),
    unit: text(value["unit"]),
    kind: kind === "hist" || kind === "counter" ? kind : "gauge",
    help: text(value["help"]),
  };
}

/** {"name":"value"} as a Map of texts; numbers become text. */
export function parseTexts(value: unknown, most: number): Map<string, string> {
  const out = new Map<string, string>();
  for (const [key, entry] of isFields(value) ? Object.entries(value).slice(0, most) : []) {
    out.set(text(key), typeof entry === "number" ? String(entry) : text(entry));
  }
  return out;
}

function parseHello(f: Fields): Hello | undefined {
  const metrics = new Map<string, MetricInfo>();
  for (const entry of list(f["metrics"]).slice(0, MAX_METRICS)) {
    const info = parseMetricInfo(entry);
    if (info) metrics.set(info.name, info);
  }
  const expected = new Map<string, number>();
  for (const [name, value] of isFields(f["expected"]) ? Object.entries(f["expected"]).slice(0, MAX_METRICS) : []) {
    if (num(value) > 0) expected.set(text(name), num(value));
  }
  const hello: Hello = {
    type: "hello",
    producer: num(f["producer"]),
    name: text(f["name"]),
    instance: text(f["instance"]),
    backend: text(f["backend"]),
    tier: text(f["tier"]),
    model: text(f["model"]),
    host: text(f["host"]),
    build: text(f["build"]),
    threads: num(f["threads"]),
    started_ms: num(f["started_ms"]),
    expected,
    metrics,
  };
  return Number.isNaN(hello.producer) || hello.instance === "" ? undefined : hello;
}

/** The buckets when they are as the protocol says (indices ascending, counts above zero), else none. */
function parseBuckets(value: unknown): BucketPairs {
  const pairs = list(value);
  if (pairs.length % 2 !== 0 || pairs.length > 2 * BUCKETS) return [];
  let before = -1;
  for (let k = 0; k < pairs.length; k += 2) {
    const [index, count] = [pairs[k], pairs[k + 1]];
    if (!Number.isInteger(index) || (index as number) <= before || (index as number) >= BUCKETS) return [];
    if (!Number.isInteger(count) || (count as number) < 1) return [];
    before = index as number;
  }
  return pairs as number[];
}

function parseWindowMetric(value: unknown): WindowMetric | undefined {
  if (!isFields(value)) return undefined;
  const metric: WindowMetric = {
    n: num(value["n"]),
    sum: num(value["sum"]),
    min: num(value["min"]),
    max: num(value["max"]),
    last: num(value["last"]),
    b: parseBuckets(value["b"]),
  };
  return metric.n > 0 && Number.isFinite(metric.sum) ? metric : undefined;
}

function parseSeries(value: unknown): Series | undefined {
  const metric = parseWindowMetric(value);
  if (!metric || !isFields(value) || text(value["name"]) === "") return undefined;
  return { ...metric, name: text(value["name"]), labels: parseTexts(value["labels"], MAX_LABELS) };
}

function parseWindow(f: Fields): Window | undefined {
  const m = new Map<string, WindowMetric>();
  for (const [name, value] of isFields(f["m"]) ? Object.entries(f["m"]).slice(0, MAX_METRICS) : []) {
    const metric = parseWindowMetric(value);
    if (metric) m.set(text(name), metric);
  }
  const window: Window = {
    type: "window",
    producer: num(f["producer"]),
    seq: num(f["seq"]),
    t_ms: num(f["t_ms"]),
    span_ms: num(f["span_ms"]),
    dropped: num(f["dropped"]),
    m,
    s: list(f["s"]).flatMap((entry) => parseSeries(entry) ?? []),
  };
  return known(window.producer, window.seq, window.t_ms) ? window : undefined;
}

function known(...numbers: number[]): boolean {
  return numbers.every((x) => !Number.isNaN(x));
}

/** An operation, from the wire or from the history, which has no "type" and no producer. */
export function parseOperation(f: Fields): Operation | undefined {
  const op: Operation = {
    type: "op",
    producer: num(f["producer"] ?? 0),
    seq: num(f["seq"] ?? 0),
    t_ms: num(f["t_ms"]),
    id: num(f["id"]),
    parent: num(f["parent"]),
    op: text(f["op"]),
    strategy: text(f["strategy"]),
    duration_s: num(f["duration_s"]),
    ok: f["ok"] === true,
    error: text(f["error"]),
    units: num(f["units"]),
    unit: text(f["unit"]),
    quality: num(f["quality"]),
    meta: parseTexts(f["meta"], MAX_LABELS),
  };
  return known(op.producer, op.t_ms, op.duration_s) && typeof f["ok"] === "boolean" ? op : undefined;
}

function parseGap(f: Fields): Gap | Missed | undefined {
  if (!Number.isNaN(num(f["missed"]))) return { type: "missed", n: Math.max(0, num(f["missed"])) };
  const [producer, seq, to] = [num(f["producer"]), num(f["seq"]), num(f["to"])];
  return known(producer, seq, to)
    ? { type: "gap", producer, seq, to, n: num(f["n"]), reason: text(f["reason"]) }
    : undefined;
}

function parseClock(f: Fields): Clock | undefined {
  const [producer, offset_ms, error_ms] = [num(f["producer"]), num(f["offset_ms"]), num(f["error_ms"])];
  return known(producer, offset_ms, error_ms) ? { type: "clock", producer, offset_ms, error_ms } : undefined;
}

/** Also of an entry of GET /performance/stats, where "pending" is a third state that is not shown. */
export function parseAlert(f: Fields): Alert | undefined {
  const state = f["state"];
  if ((state !== "firing" && state !== "resolved") || text(f["rule"]) === "") return undefined;
  return {
    type: "alert",
    rule: text(f["rule"]),
    producer: num(f["producer"]),
    metric: text(f["metric"]),
    state,
    value: num(f["value"]),
    limit: num(f["limit"]),
    t_ms: num(f["t_ms"] ?? f["since_ms"]),
  };
}

function parseBye(f: Fields): Bye | undefined {
  const producer = num(f["producer"]);
  return known(producer) ? { type: "bye", producer, reason: text(f["reason"]) } : undefined;
}

export function parseHubMessage(json: string): HubMessage | undefined {
  let f: unknown;
  try {
    f = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isFields(f)) return undefined;
  switch (f["type"]) {
    case "welcome":
      return { type: "welcome", hub: text(f["hub"]), store: text(f["store"]), t_ms: num(f["t_ms"]) };
    case "hello":
      return parseHello(f);
    case "window":
      return parseWindow(f);
    case "op":
      return parseOperation(f);
    case "bye":
      return parseBye(f);
    case "gap":
      return parseGap(f);
    case "clock":
      return parseClock(f);
    case "alert":
      return parseAlert(f);
    case "health": {
      const reasons = list(f["reasons"]).slice(0, MAX_LIST).map(text);
      return { type: "health", status: text(f["status"]), reasons, store: text(f["store"]) };
    }
    default:
      return undefined; // a later protocol may add messages; they are not for us
  }
}
