/* profiler.ts: a session that is profiled, in the worker: what each kernel took, and every thread's spans as they come
 * (targets/wasm/exports_profile.c), with what the worker itself does between steps.
 *
 * Spans are copied out of the heap between slices and kept as they are, 48 bytes each; they become text when a trace
 * is asked for. Past maxEvents they are counted and left out.
 */
import { BitnetError } from "./errors.js";
import type { MachineBounds, Notice, Reply } from "./rpc.js";
import { SPAN_SIZE, type Session } from "./session.js";
import type { ProfileReport } from "./types.js";

const SPANS_CAP = 8192; /* of a thread, in a slice or in the longest step */

/** Milliseconds of this worker's performance.now(). */
export interface Mark {
  name: string;
  begin: number;
  end: number;
}

export interface Point {
  name: string;
  at: number;
  value: number;
}

/** Of one thread; the last clock is the best. Nanoseconds. */
export interface Track {
  rows: Uint8Array[];
  offset: number;
  /** undefined: the thread had no work, and nothing is known. */
  error: number | undefined;
}

export class Profiler {
  readonly labels: string[];
  readonly tracks: Track[] = [];
  readonly marks: Mark[] = [];
  readonly points: Point[] = [];
  readonly beginMs = performance.now();
  nCut = 0;
  nDropped = 0;
  private nEvents = 0;
  private nHeld = 0; /* tokens in the KV cache */
  private tokensAt = 0;

  /** kvBytes: of one token. */
  constructor(
    private readonly session: Session,
    readonly bounds: MachineBounds,
    private readonly maxEvents: number,
    private readonly kvBytes: number,
  ) {
    session.profileOpen(SPANS_CAP, bounds.bytesPerSecond, bounds.int8OperationsPerSecond);
    this.labels = session.profileLabels();
  }

  close(): void {
    this.session.profileClose();
  }

  private take(n: number): number {
    const taken = Math.max(0, Math.min(n, this.maxEvents - this.nEvents));
    this.nEvents += taken;
    this.nCut += n - taken;
    return taken;
  }

  /** Between steps. */
  collect(): void {
    for (let thread = 0; ; thread++) {
      const spans = this.session.profileSpans(thread);
      if (!spans) break;
      const track = (this.tracks[thread] ??= { rows: [], offset: 0, error: undefined });
      const n = this.take(spans.rows.length / SPAN_SIZE);
      if (n > 0) track.rows.push(spans.rows.slice(0, n * SPAN_SIZE));
      track.offset = spans.offset;
      track.error = spans.error < 0 ? undefined : spans.error;
      this.nDropped = spans.nDropped;
    }
    this.session.profileClear();
    this.point("heap bytes", performance.now(), this.session.heapSize());
  }

  private point(name: string, at: number, value: number): void {
    if (this.take(1) > 0) this.points.push({ name, at, value });
  }

  mark(name: string, begin: number): void {
    if (this.take(1) > 0) this.marks.push({ name, begin, end: performance.now() });
  }

  /** A message that went to the page, from `begin` on. */
  onReply(reply: Reply | Notice, begin: number): void {
    this.mark(`send ${reply.type}`, begin);
    if (reply.type === "prompt") {
      this.nHeld = reply.tokenIds.length;
      this.tokensAt = begin;
    } else if (reply.type === "tokens") {
      this.nHeld += reply.tokens.length;
      if (begin > this.tokensAt) this.point("tokens/s", begin, (reply.tokens.length * 1000) / (begin - this.tokensAt));
      this.point("KV cache bytes", begin, this.nHeld * this.kvBytes);
      this.tokensAt = begin;
    }
  }

  report(): ProfileReport {
    const { bounds, labels, session } = this;
    const phase = (index: number) =>
      labels
        .map((kernel, i) => ({ kernel, ...session.profileKernel(i, index) }))
        .filter(({ calls }) => calls > 0);
    return { machine: bounds, prefill: phase(0), decode: phase(1), layers: session.profileLayers() };
  }
}

export function noProfile(): never {
  throw new BitnetError("profile.closed", "The model is not being profiled.");
}
