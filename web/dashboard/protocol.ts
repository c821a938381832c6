/* protocol.ts: bitnet-tracker.v1 as a viewer hears it (docs/protocol.md).
 *
 * Owns the types and the only JSON.parse of the dashboard. Producers are strangers: every field is
 * checked, strings are cut, and a message that does not fit is undefined, never an exception. Metrics
 * live in Maps, so that a metric named "__proto__" is just a name.
 */

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
  p50: number; // NaN unless the metric is a histogram
  p95: number;
}

export interface Welcome {
  type: "welcome";
  hub: string;
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
  threads: number;
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
}

export interface Bye {
  type: "bye";
  producer: number;
  reason: string;
}

export interface Gap {
  type: "gap";
  n: number;
}

export type HubMessage = Welcome | Hello | Window | Bye | Gap;

const MAX_STRING = 200;
const MAX_METRICS = 64;

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, MAX_STRING) : "";
}

function num(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : NaN;
}

function parseMetricInfo(value: unknown): MetricInfo | undefined {
  if (!isFields(value) || text(value["name"]) === "") return undefined;
  const kind = value["kind"];
  return {
    name: text(value["name"]),
    unit: text(value["unit"]),
    kind: kind === "hist" || kind === "counter" ? kind : "gauge",
    help: text(value["help"]),
  };
}

function parseHello(f: Fields): Hello | undefined {
  const metrics = new Map<string, MetricInfo>();
  for (const entry of Array.isArray(f["metrics"]) ? f["metrics"].slice(0, MAX_METRICS) : []) {
    const info = parseMetricInfo(entry);
    if (info) metrics.set(info.name, info);
  }
  const hello: Hello = {
    type: "hello",
    producer: num(f["producer"]),
    name: text(f["name"]),
    instance: text(f["instance"]),
    backend: text(f["backend"]),
    tier: text(f["tier"]),
    model: text(f["model"]),
    threads: num(f["threads"]),
    metrics,
  };
  return Number.isNaN(hello.producer) || hello.instance === "" ? undefined : hello;
}

function parseWindowMetric(value: unknown): WindowMetric | undefined {
  if (!isFields(value)) return undefined;
  const metric: WindowMetric = {
    n: num(value["n"]),
    sum: num(value["sum"]),
    min: num(value["min"]),
    max: num(value["max"]),
    last: num(value["last"]),
    p50: num(value["p50"]),
    p95: num(value["p95"]),
  };
  return metric.n > 0 && Number.isFinite(metric.sum) ? metric : undefined;
}

function parseWindow(f: Fields): Window | undefined {
  const m = new Map<string, WindowMetric>();
  for (const [name, value] of isFields(f["m"]) ? Object.entries(f["m"]).slice(0, MAX_METRICS) : []) {
    const metric = parseWindowMetric(value);
    if (metric) m.set(name, metric);
  }
  const window: Window = {
    type: "window",
    producer: num(f["producer"]),
    seq: num(f["seq"]),
    t_ms: num(f["t_ms"]),
    span_ms: num(f["span_ms"]),
    dropped: num(f["dropped"]),
    m,
  };
  const usable = [window.producer, window.seq, window.t_ms].every((x) => !Number.isNaN(x));
  return usable ? window : undefined;
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
      return { type: "welcome", hub: text(f["hub"]), t_ms: num(f["t_ms"]) };
    case "hello":
      return parseHello(f);
    case "window":
      return parseWindow(f);
    case "bye":
      return Number.isNaN(num(f["producer"]))
        ? undefined
        : { type: "bye", producer: num(f["producer"]), reason: text(f["reason"]) };
    case "gap":
      return { type: "gap", n: Math.max(0, num(f["n"]) || 0) };
    default:
      return undefined; // a later protocol may add messages; they are not for us
  }
}
