/* trace_parse.ts: Chrome's trace event format (JSON) as slices in lanes.
 *
 * Reads {"traceEvents":[...]} or the bare array: complete events ("X"), pairs of begin and end ("B", "E") and names
 * of threads ("M"); other phases are counted and left out. Slices of a thread are put in lanes by how deep they
 * lie in each other. Runs in a worker (trace_worker.ts); refuses what is no trace with one sentence.
 */
import { isFields, num, text } from "./protocol";

export class NoTrace extends Error {}

export interface Totals {
  name: string;
  count: number;
  total: number; /* microseconds, slices inside of slices counted in both */
  self: number; /* without the slices inside */
  longest: number; /* index of a slice */
}

/** Slices sorted by thread, then depth, then start. All times in microseconds since the earliest. */
export interface Trace {
  names: string[];
  threads: { label: string; depth: number; first: number; end: number }[];
  laneFirst: number[][]; /* per thread and depth, the first slice; one more at the end */
  start: Float64Array;
  length: Float64Array;
  self: Float64Array;
  name: Uint32Array;
  totals: Totals[];
  span: number;
  leftOut: number; /* events that are no slices */
}

interface Slice {
  start: number;
  end: number;
  name: number;
  depth: number;
  self: number;
  args: unknown;
}

const MOST_SLICES = 5_000_000;

function eventsOf(json: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new NoTrace(`This is no trace: it is not JSON (${error instanceof Error ? error.message : ""}).`);
  }
  const events = isFields(value) ? value["traceEvents"] : value;
  if (!Array.isArray(events)) {
    throw new NoTrace('This is no trace: it has neither a list "traceEvents" nor is it a list of events.');
  }
  return events;
}

class Thread {
  label = "";
  readonly slices: Slice[] = [];
  private readonly open: Slice[] = [];

  constructor(readonly order: number) {}

  begin(slice: Slice): void {
    this.open.push(slice);
  }

  end(at: number): void {
    const slice = this.open.pop();
    if (!slice) return;
    slice.end = at;
    this.slices.push(slice);
  }

  /** Depths and own times: a slice lies in those that began before it and have not ended. */
  nest(): number {
    this.slices.sort((a, b) => a.start - b.start || b.end - a.end);
    const around: Slice[] = [];
    let deepest = 0;
    for (const slice of this.slices) {
      while (around.length > 0 && around.at(-1)!.end <= slice.start) around.pop();
      const parent = around.at(-1);
      slice.self = slice.end - slice.start;
      if (parent) parent.self -= Math.min(slice.end, parent.end) - slice.start;
      slice.depth = around.length;
      deepest = Math.max(deepest, slice.depth);
      around.push(slice);
    }
    return this.slices.length > 0 ? deepest + 1 : 0;
  }
}

export interface Parsed {
  trace: Trace;
  args: unknown[]; /* per slice */
}

export function parseTrace(json: string): Parsed {
  const threads = new Map<string, Thread>();
  const nameIndex = new Map<string, number>();
  const names: string[] = [];
  let leftOut = 0;
  let kept = 0;
  const threadOf = (event: Record<string, unknown>) => {
    const key = `${String(event["pid"])} ${String(event["tid"])}`;
    let thread = threads.get(key);
    if (!thread) threads.set(key, (thread = new Thread(threads.size)));
    if (!thread.label) thread.label = `thread ${text(String(event["tid"] ?? "?"))}`;
    return thread;
  };
  const nameOf = (value: unknown) => {
    const name = text(value) || "(unnamed)";
    let index = nameIndex.get(name);
    if (index === undefined) nameIndex.set(name, (index = names.push(name) - 1));
    return index;
  };
  for (const event of eventsOf(json)) {
    if (!isFields(event)) throw new NoTrace("This is no trace: one of its events is no object.");
    const at = num(event["ts"]);
    const length = num(event["dur"]);
    const phase = event["ph"];
    if (phase === "M" && event["name"] === "thread_name" && isFields(event["args"])) {
      threadOf(event).label = text(event["args"]["name"]) || "(unnamed)";
    } else if (phase === "X" && !Number.isNaN(at) && length >= 0) {
      const slice = { start: at, end: at + length, name: nameOf(event["name"]), depth: 0, self: 0, args: event["args"] };
      threadOf(event).slices.push(slice);
      kept++;
    } else if (phase === "B" && !Number.isNaN(at)) {
      threadOf(event).begin({ start: at, end: at, name: nameOf(event["name"]), depth: 0, self: 0, args: event["args"] });
      kept++;
    } else if (phase === "E" && !Number.isNaN(at)) {
      threadOf(event).end(at);
    } else {
      leftOut++;
    }
    if (kept > MOST_SLICES) throw new NoTrace(`The trace has more than ${MOST_SLICES.toLocaleString("en-US")} slices; record less.`);
  }
  if (kept === 0) throw new NoTrace('The trace holds no slices: it needs events with "ph":"X", "ts" and "dur".');
  return pack([...threads.values()], names, leftOut);
}

/* Objects become columns, which travel from the worker to the page without a copy. */
function pack(all: Thread[], names: string[], leftOut: number): Parsed {
  const threads = all.filter((thread) => thread.slices.length > 0).sort((a, b) => a.order - b.order);
  const depths = threads.map((thread) => thread.nest());
  const n = threads.reduce((sum, thread) => sum + thread.slices.length, 0);
  const zero = threads.reduce((least, { slices }) => Math.min(least, slices[0]!.start), Infinity);
  const trace: Trace = {
    names,
    threads: [],
    laneFirst: [],
    start: new Float64Array(n),
    length: new Float64Array(n),
    self: new Float64Array(n),
    name: new Uint32Array(n),
    totals: [],
    span: 0,
    leftOut,
  };
  const args: unknown[] = [];
  let i = 0;
  threads.forEach((thread, t) => {
    const first = i;
    thread.slices.sort((a, b) => a.depth - b.depth || a.start - b.start);
    const lanes: number[] = [];
    for (const slice of thread.slices) {
      while (lanes.length <= slice.depth) lanes.push(i);
      trace.start[i] = slice.start - zero;
      trace.length[i] = slice.end - slice.start;
      trace.self[i] = slice.self;
      trace.name[i] = slice.name;
      trace.span = Math.max(trace.span, slice.end - zero);
      args.push(slice.args);
      i++;
    }
    lanes.push(i);
    trace.laneFirst.push(lanes);
    trace.threads.push({ label: thread.label, depth: depths[t]!, first, end: i });
  });
  trace.totals = totalsOf(trace);
  return { trace, args };
}

function totalsOf({ names, start, length, self, name }: Trace): Totals[] {
  const totals = names.map((label): Totals => ({ name: label, count: 0, total: 0, self: 0, longest: -1 }));
  for (let i = 0; i < start.length; i++) {
    const entry = totals[name[i]!]!;
    entry.count++;
    entry.total += length[i]!;
    entry.self += self[i]!;
    if (entry.longest < 0 || length[i]! > length[entry.longest]!) entry.longest = i;
  }
  return totals.filter((entry) => entry.count > 0).sort((a, b) => b.self - a.self);
}
