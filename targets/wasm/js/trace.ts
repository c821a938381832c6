/* trace.ts: a Chrome trace ("Trace Event Format", JSON Object) of what a profiler kept, for Perfetto and
 * chrome://tracing; targets/native/cmd/trace_file.c writes the same natively. Worker side, pure but for the labels.
 *
 * All times are on the worker's clock, performance.now(). The page's and the pool's are moved to it; by how much that
 * may be wrong is in otherData. Microseconds with three decimals, so that a nanosecond is exact.
 */
import type { Profiler, Track } from "./profiler.js";
import type { PageClock, PageEvent } from "./rpc.js";
import { SPAN_SIZE } from "./session.js";
import type { ModelInfo } from "./types.js";

/* In bitnet_span_kind's order. */
const KINDS = ["kernel", "forward", "slice", "wait", "request", "submit", "prefill", "decode", "sample"] as const;
const KERNEL = 0;
const FORWARD = 1;
const SLICE = 2;

const PID = 1;
const ENGINE = 1; /* tid of thread 0; the pool's workers follow */
const PAGE = 1000;
const EVENTS_PER_PART = 4096;

interface TraceEvent {
  ph: string;
  tid: number;
  name: string;
  cat?: string;
  ts?: number;
  dur?: number;
  id?: number;
  args?: Record<string, unknown>;
}

const round = (us: number): number => Math.round(us * 1000) / 1000;

/** Whole nanoseconds, as the module has them. */
const fromMs = (ms: number): number => Math.floor(ms * 1e6);

class Writer {
  readonly parts: string[] = ['{"displayTimeUnit":"ns","traceEvents":['];
  private part = "";
  private n = 0;

  constructor(private readonly baseNs: number) {}

  private put(event: TraceEvent): void {
    const { ph, tid, ...rest } = event;
    this.part += `${this.n > 0 ? "," : ""}\n${JSON.stringify({ ph, pid: PID, tid, ...rest })}`;
    if (++this.n % EVENTS_PER_PART === 0) this.flush();
  }

  private flush(): void {
    this.parts.push(this.part);
    this.part = "";
  }

  name(tid: number, name: string): void {
    this.put({ ph: "M", tid, name: tid === 0 ? "process_name" : "thread_name", args: { name } });
  }

  span(tid: number, cat: string, name: string, beginNs: number, endNs: number, args: Record<string, unknown>): void {
    const begin = Math.max(0, beginNs - this.baseNs);
    const end = Math.max(begin, endNs - this.baseNs);
    this.put({ ph: "X", tid, cat, name, ts: round(begin / 1000), dur: round((end - begin) / 1000), args });
  }

  /** May overlap with others of the same thread. */
  waiting(tid: number, id: number, name: string, beginNs: number, endNs: number): void {
    for (const [ph, ns] of [["b", beginNs], ["e", endNs]] as const) {
      this.put({ ph, tid, id, cat: "request", name, ts: round(Math.max(0, ns - this.baseNs) / 1000) });
    }
  }

  counter(name: string, atNs: number, value: number): void {
    this.put({ ph: "C", tid: 0, name, ts: round(Math.max(0, atNs - this.baseNs) / 1000), args: { value } });
  }

  end(otherData: unknown): Blob {
    this.flush();
    this.parts.push(`\n],"otherData":${JSON.stringify(otherData)}}\n`);
    return new Blob(this.parts, { type: "application/json" });
  }
}

function putSpan(to: Writer, labels: readonly string[], tid: number, view: DataView, at: number, offset: number): void {
  const begin = Number(view.getBigUint64(at, true)) + offset;
  const end = Number(view.getBigUint64(at + 8, true)) + offset;
  const bytes = Number(view.getBigUint64(at + 16, true));
  const [tokens, layer] = [view.getInt32(at + 36, true), view.getInt16(at + 40, true)];
  const [kind, kernel] = [view.getUint8(at + 42), view.getUint8(at + 43)];
  const request = view.getUint32(at + 32, true);
  const args: Record<string, unknown> = {};
  if (layer >= 0) args["layer"] = layer;
  if (request > 0) args["request"] = request;
  if (tokens > 0) args["tokens"] = tokens;
  if (kind === KERNEL || kind === FORWARD) {
    args["bytes"] = bytes;
    args["ops"] = Number(view.getBigUint64(at + 24, true));
    if (end > begin && bytes > 0) args["GB/s"] = Number((bytes / (end - begin)).toPrecision(4));
    const share = view.getFloat32(at + 44, true);
    if (share > 0 && Number.isFinite(share)) args["roofline"] = Number(share.toPrecision(4));
  }
  const cat = KINDS[kind] ?? "";
  to.span(tid, cat, (kind === KERNEL || kind === SLICE ? labels[kernel] : undefined) ?? cat, begin, end, args);
}

function putTrack(to: Writer, labels: readonly string[], tid: number, { rows, offset }: Track): void {
  for (const chunk of rows) {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < chunk.byteLength; at += SPAN_SIZE) putSpan(to, labels, tid, view, at, offset);
  }
}

/** The finest step of performance.now(), in µs: browsers make it coarse, most where a page is not isolated. */
function resolution(): number {
  let least = Infinity;
  let last = performance.now();
  for (let n = 0; n < 50; ) {
    const now = performance.now();
    if (now > last) least = Math.min(least, now - last), n++;
    last = now;
  }
  return round(least * 1000);
}

/** page: what the page told, on its own clock. */
export function makeTrace(profiler: Profiler, info: ModelInfo, page: readonly PageEvent[], clock: PageClock): Blob {
  const to = new Writer(fromMs(profiler.beginMs));
  to.name(0, "libbitnet");
  to.name(ENGINE, "engine");
  profiler.tracks.forEach((track, i) => {
    if (i > 0) to.name(ENGINE + i, `worker ${i}`);
    putTrack(to, profiler.labels, ENGINE + i, track);
  });
  to.name(PAGE, "page");
  for (const { name, begin, end } of profiler.marks) to.span(ENGINE, "message", name, fromMs(begin), fromMs(end), {});
  for (const { id, name, begin, end, args } of page) {
    const [beginNs, endNs] = [fromMs(begin + clock.offset), fromMs(end + clock.offset)];
    if (id === undefined) to.span(PAGE, "page", name, beginNs, endNs, args);
    else to.waiting(PAGE, id, name, beginNs, endNs);
  }
  for (const { name, at, value } of profiler.points) to.counter(name, fromMs(at), value);
  const { name, backend, tier, tokenBytes } = info;
  return to.end({
    ...profiler.report(),
    model: name,
    backend,
    tier,
    token_bytes: tokenBytes,
    dropped_spans: profiler.nDropped,
    cut_events: profiler.nCut,
    clock: `performance.now() of the worker; the page by ${clock.by}, threads by the work they were handed`,
    clock_resolution_us: resolution(),
    clock_error_us: profiler.tracks.map(({ error }) => (error === undefined ? null : round(error / 1000))),
    page_clock_error_us: round(clock.error * 1000),
  });
}
