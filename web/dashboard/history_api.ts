/* history_api.ts: what the hub answers to questions: GET /performance/history and /performance/stats, made safe.
 *
 * Runs are told by strangers like everything else: every field is checked, as in protocol.ts. What went wrong
 * is one sentence that says what to do, for a person: `Trouble`.
 */
import {
  type Alert,
  type Fields,
  isFields,
  list,
  type MetricKind,
  num,
  type Operation,
  parseAlert,
  parseMetricInfo,
  parseOperation,
  parseTexts,
  text,
} from "./protocol";

export class Trouble extends Error {}

export interface Run {
  id: string;
  name: string;
  backend: string;
  tier: string;
  threads: number;
  model: string;
  host: string;
  build: string;
  started_ms: number;
  heard_ms: number;
  ended_ms: number; /* NaN while it goes on */
  reason: string;
  samples: number;
  lost_samples: number;
}

export interface RunMetric {
  name: string;
  labels: Map<string, string>;
  unit: string;
  kind: MetricKind;
  help: string;
  n: number;
  sum: number;
  min: number;
  max: number;
  mean: number;
  p50: number;
  p95: number;
  p99: number;
}

export interface RunGap {
  seq: number;
  to: number;
  n: number;
  reason: string;
  t_ms: number;
}

export interface RunDetails {
  run: Run;
  metrics: RunMetric[];
  gaps: RunGap[];
  operations: Operation[];
}

export interface Point {
  t_ms: number;
  span_ms: number;
  n: number;
  sum: number;
  min: number;
  max: number;
  last: number;
  p50: number;
  p95: number;
}

export interface Points {
  resolution: string;
  points: Point[];
}

const MOST_RUNS = 500;
const MOST_POINTS = 5_000;
const MOST_METRICS = 1_000;

/** The sentence for an answer that is not 200: what the hub says, and what to do. */
function sentence(status: number, said: string): string {
  if (status === 404) return said || "This hub keeps no history: it is older than this page.";
  if (status === 401) return said || "The hub asks for its token: open the address that it printed when it started.";
  if (status === 503) return `The hub cannot answer at the moment; try again in a few seconds. ${said}`.trimEnd();
  return `The hub answered with status ${status}. ${said}`.trimEnd();
}

/** What an error says: a sentence as plain text, or {"error":{"message":"…"}}. */
async function errorMessage(response: Response): Promise<string> {
  try {
    if (response.headers.get("Content-Type")?.startsWith("text/plain")) return text((await response.text()).trim());
    const body: unknown = await response.json();
    const error = isFields(body) ? body["error"] : undefined;
    return text(isFields(error) ? error["message"] : error);
  } catch {
    return "";
  }
}

async function ask(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", ...init });
  } catch {
    throw new Trouble("The hub does not answer. Start it with: bitnet serve");
  }
  if (!response.ok) throw new Trouble(sentence(response.status, await errorMessage(response)));
  return response;
}

async function fields(path: string): Promise<Fields> {
  const response = await ask(path);
  try {
    const body: unknown = await response.json();
    if (isFields(body)) return body;
  } catch {
    /* said below */
  }
  throw new Trouble("The hub's answer is not what this page understands; reload the page after an update of the hub.");
}

function parseRun(value: unknown): Run | undefined {
  if (!isFields(value) || text(value["id"]) === "") return undefined;
  const run: Run = {
    id: text(value["id"]),
    name: text(value["name"]),
    backend: text(value["backend"]),
    tier: text(value["tier"]),
    threads: num(value["threads"]),
    model: text(value["model"]),
    host: text(value["host"]),
    build: text(value["build"]),
    started_ms: num(value["started_ms"]),
    heard_ms: num(value["heard_ms"]),
    ended_ms: num(value["ended_ms"]),
    reason: text(value["reason"]),
    samples: num(value["samples"]),
    lost_samples: num(value["lost_samples"]),
  };
  return run;
}

function parseMetric(value: unknown): RunMetric | undefined {
  const info = parseMetricInfo(value);
  if (!info || !isFields(value)) return undefined;
  const of = (name: string) => num(value[name]);
  const stats = { n: of("n"), sum: of("sum"), min: of("min"), max: of("max"), mean: of("mean") };
  return { ...info, labels: parseTexts(value["labels"], 16), ...stats, p50: of("p50"), p95: of("p95"), p99: of("p99") };
}

function parseGap(value: unknown): RunGap | undefined {
  if (!isFields(value)) return undefined;
  const gap = { seq: num(value["seq"]), to: num(value["to"]), n: num(value["n"]), t_ms: num(value["t_ms"]) };
  return { ...gap, reason: text(value["reason"]) };
}

function parsePoint(value: unknown): Point | undefined {
  if (!isFields(value)) return undefined;
  const of = (name: string) => num(value[name]);
  const point: Point = {
    t_ms: of("t_ms"),
    span_ms: of("span_ms"),
    n: of("n"),
    sum: of("sum"),
    min: of("min"),
    max: of("max"),
    last: of("last"),
    p50: of("p50"),
    p95: of("p95"),
  };
  return Number.isNaN(point.t_ms) || !(point.n > 0) ? undefined : point;
}

function parsed<T>(value: unknown, most: number, parse: (entry: unknown) => T | undefined): T[] {
  return list(value)
    .slice(0, most)
    .flatMap((entry) => parse(entry) ?? []);
}

const HISTORY = "/performance/history";

/** Alerts that fire now; a viewer hears only of those that begin or end while it listens. */
export async function fetchFiring(): Promise<Alert[]> {
  const body = await fields("/performance/stats");
  return parsed(body["alerts"], MOST_RUNS, (a) => (isFields(a) ? parseAlert(a) : undefined));
}

/** The newest runs first. */
export async function fetchRuns(): Promise<Run[]> {
  const body = await fields(`${HISTORY}?limit=${MOST_RUNS}`);
  const runs = parsed(body["runs"], MOST_RUNS, parseRun);
  return runs.sort((a, b) => b.started_ms - a.started_ms);
}

export async function fetchRun(id: string): Promise<RunDetails> {
  const body = await fields(`${HISTORY}?${new URLSearchParams({ run: id })}`);
  const run = parseRun(body["run"]);
  if (!run) throw new Trouble("The hub has no such run; it may have been forgotten. Choose another from the list.");
  return {
    run,
    metrics: parsed(body["metrics"], MOST_METRICS, parseMetric),
    gaps: parsed(body["gaps"], MOST_METRICS, parseGap),
    operations: parsed(body["operations"], MOST_METRICS, (o) => (isFields(o) ? parseOperation(o) : undefined)),
  };
}

export async function fetchPoints(
  id: string,
  metric: { name: string; labels: Map<string, string> },
  resolution: string,
  points: number,
): Promise<Points> {
  const query = new URLSearchParams({ run: id, metric: metric.name, resolution, points: String(points) });
  if (metric.labels.size > 0) query.set("labels", JSON.stringify(Object.fromEntries(metric.labels)));
  const body = await fields(`${HISTORY}?${query}`);
  const all = parsed(body["points"], MOST_POINTS, parsePoint);
  return { resolution: text(body["resolution"]), points: all.sort((a, b) => a.t_ms - b.t_ms) };
}

/** The hub's own export of one run. */
export async function fetchExport(id: string, format: "json" | "csv"): Promise<Blob> {
  const response = await ask(`/performance/export?${new URLSearchParams({ format, run: id })}`, { method: "POST" });
  return response.blob();
}
