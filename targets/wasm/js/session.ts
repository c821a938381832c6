/* session.ts: one C session, with strings and objects instead of pointers. No worker, no DOM.
 *
 * The heap may grow in any call, which replaces (or, shared, outdates) its ArrayBuffer: a view is made for
 * each use and never kept. Text is copied out before it is decoded, since decoders refuse shared memory.
 */
import { BitnetError } from "./errors.js";
import { textAt, type Glue, type Instance } from "./glue.js";
import { HeapHash } from "./hashing.js";
import { CACHE_TYPES, ROLES, SAMPLER_OPTIONS, SWITCHES } from "./types.js";
import type {
  CacheType,
  ChatMessage,
  FinishReason,
  KernelWork,
  LayerWork,
  Metrics,
  ModelInfo,
  PerplexityProgress,
  Switch,
  Timings,
  TrackState,
  Usage,
} from "./types.js";

/** What the model file and the module say; the rest of ModelInfo is about how they were chosen. */
export type SessionInfo = Omit<ModelInfo, "tierReason" | "threadsReason" | "cache" | "cacheReason">;

/** nCtx 0: chosen by the model's size. */
export interface LoadHow {
  nCtx: number;
  cacheTypeK: CacheType;
  cacheTypeV: CacheType;
  stagedHead: Switch;
}

/** What the first bytes of a file tell; the members are written in targets/wasm/plan.c. Bytes. */
export interface ModelPlan {
  arch: string;
  name: string;
  fileSize: number;
  nParams: number;
  nCtxTrain: number;
  nLayer: number;
  nEmbd: number;
  nVocab: number;
  nCtx: number;
  isStaged: boolean;
  tokenBytes: number;
  ternaryBytes: number;
  headBytes: number;
  memory: { file: number; copies: number; kv: number; scratch: number; total: number };
}

/** As the exports take it. */
function numbers(how: LoadHow): [number, number, number, number] {
  const [k, v] = [how.cacheTypeK, how.cacheTypeV].map((type) => CACHE_TYPES.indexOf(type)) as [number, number];
  return [how.nCtx, k, v, SWITCHES.indexOf(how.stagedHead)];
}

/* The order is bitnet_request_field's. */
const REQUEST_FIELDS = ["maxTokens", ...SAMPLER_OPTIONS] as const;
/** What submit is told; the library's own defaults stand for what is left out. */
export interface SessionRequest {
  prompt: string | readonly ChatMessage[];
  fields: Partial<Record<(typeof REQUEST_FIELDS)[number], number>>;
  stop: readonly string[];
  logitBias: readonly (readonly [token: number, bias: number])[];
  seed: bigint;
}

/** How a generation ended, and what was measured of it. */
export interface SessionEnd {
  finishReason: FinishReason;
  usage: Usage;
  timings: Timings;
  metrics: Metrics;
}

export type SessionEvent =
  | { kind: "prompt"; request: number; tokenIds: number[] }
  | { kind: "token"; request: number; token: number; text: string }
  | ({ kind: "end"; request: number; text: string } & SessionEnd)
  | { kind: "error"; request: number; error: BitnetError };

const EVENT_PROMPT = 1;
const EVENT_TOKEN = 2;
const TOKENIZE_BOS = 1;
const TOKENIZE_SPECIAL = 2;
export const HEAP_MAX = 2 ** 32 - 65536;
const HASH_STEP = 8 << 20;
const STATUS_DONE = 1;
export const SPAN_SIZE = 48; /* of a bitnet_profile_span (bitnet/profile.h); trace.ts reads it */
const TRACK_STATES = ["connecting", "open", "refused"] as const;

export class Session {
  private readonly glue: Glue;
  private readonly memory: WebAssembly.Memory;
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true }); /* a token may begin with one */
  private readonly self: number;
  private file = 0;

  constructor(private readonly instance: Instance) {
    this.glue = instance.glue;
    this.memory = instance.memory;
    this.self = this.glue._bitnet_session_create();
    if (this.self === 0) throw new BitnetError("session.memory", "The browser gives no memory for a session.");
  }

  free(): void {
    this.glue._bitnet_session_free(this.self);
  }

  /* ---- loading ---- */

  /** From the first bytes of a file; the number of bytes to come back with where these are too few. */
  plan(bytes: Uint8Array, fileSize: number, how: LoadHow): ModelPlan | number {
    return this.withBytes(Math.max(bytes.length, 1), (at) => {
      this.heap().set(bytes, at);
      const json = this.glue._bitnet_session_plan(this.self, at, bytes.length, fileSize, ...numbers(how));
      if (json === 0) throw this.error();
      const plan = JSON.parse(this.text(json)) as ModelPlan | { needMore: number };
      return "needMore" in plan ? plan.needMore : plan;
    });
  }

  /** Room for the file, or one more part of it, in a heap that has `room` bytes beside it; what follows is about it. */
  reserve(size: number, room = 0): void {
    if (size + room > HEAP_MAX) {
      const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
      throw new BitnetError(
        "session.memory",
        `the model needs ${mb(size + room)}, of which its file is ${mb(size)}, and WebAssembly has at most ${mb(HEAP_MAX)}`,
      );
    }
    this.file = this.glue._bitnet_session_reserve(this.self, size, room) >>> 0;
    if (this.file === 0) throw this.error();
  }

  /** Takes the last reserve back. */
  unreserve(): void {
    this.glue._bitnet_session_unreserve(this.self);
  }

  write(at: number, bytes: Uint8Array): void {
    this.heap().set(bytes, this.file + at);
  }

  view(at: number, size: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, this.file + at, size);
  }

  sha256(at: number, size: number): string {
    const hash = new HeapHash(this.instance);
    hash.update(this.file + at, size);
    return hash.hex();
  }

  digest(size: number, onStep: (done: number) => void): string {
    const hash = new HeapHash(this.instance);
    for (let at = 0; at < size; at += HASH_STEP) {
      const done = Math.min(at + HASH_STEP, size);
      hash.update(this.file + at, done - at);
      onStep(done);
    }
    return hash.hex();
  }

  load(nThreads: number, how: LoadHow): void {
    if (this.glue._bitnet_session_load(this.self, nThreads, ...numbers(how)) < 0) throw this.error();
  }

  info(): SessionInfo {
    return JSON.parse(this.text(this.glue._bitnet_session_info(this.self))) as SessionInfo;
  }

  /* ---- requests ---- */

  /** The request's id. */
  submit(request: SessionRequest): number {
    const { glue, self } = this;
    glue._bitnet_session_request_start(self, request.seed);
    REQUEST_FIELDS.forEach((name, field) => {
      const value = request.fields[name];
      if (value !== undefined) glue._bitnet_session_request_set(self, field, value);
    });
    for (const [token, bias] of request.logitBias) glue._bitnet_session_request_bias(self, token, bias);
    for (const text of request.stop) glue._bitnet_session_request_stop(self, this.give(text).at);
    if (typeof request.prompt === "string") {
      const { at, len } = this.give(request.prompt);
      glue._bitnet_session_request_prompt(self, at, len);
    } else {
      this.giveMessages(request.prompt);
    }
    const id = glue._bitnet_session_submit(self) >>> 0;
    if (id === 0) throw this.error();
    return id;
  }

  /** One prefill chunk or one token. */
  step(): void {
    this.glue._bitnet_session_step(this.self);
  }

  cancel(request: number): void {
    this.glue._bitnet_session_cancel(this.self, request);
  }

  poll(): SessionEvent | undefined {
    const kind = this.glue._bitnet_session_poll(this.self);
    if (kind === 0) return undefined;
    const request = this.glue._bitnet_session_event_request(this.self) >>> 0;
    if (kind === EVENT_PROMPT) {
      const at = this.glue._bitnet_session_event_prompt(this.self);
      const n = this.glue._bitnet_session_event_n_prompt(this.self);
      return { kind: "prompt", request, tokenIds: this.tokens(at, n) };
    }
    const at = this.glue._bitnet_session_event_text(this.self) >>> 0;
    const text = this.decode(at, this.glue._bitnet_session_event_text_len(this.self));
    if (kind === EVENT_TOKEN) {
      return { kind: "token", request, token: this.glue._bitnet_session_event_token(this.self), text };
    }
    const { finish_reason: finishReason, ...measured } = JSON.parse(
      this.text(this.glue._bitnet_session_event_end(this.self)),
    ) as Omit<SessionEnd, "finishReason"> & { finish_reason: FinishReason | "error" };
    if (finishReason === "error") return { kind: "error", request, error: this.error() };
    return { kind: "end", request, text, finishReason, ...measured };
  }

  /** Of all requests that have ended since load, or since the last reset. */
  metrics(): Metrics {
    return JSON.parse(this.text(this.glue._bitnet_session_metrics(this.self))) as Metrics;
  }

  resetMetrics(): void {
    this.glue._bitnet_session_reset_metrics(this.self);
  }

  tokenize(text: string, bos: boolean, special: boolean): number[] {
    const flags = (bos ? TOKENIZE_BOS : 0) | (special ? TOKENIZE_SPECIAL : 0);
    return this.withText(text, (at, len) => {
      const cap = len + 1; /* a token is at least one byte; and one for the begin token */
      return this.withBytes(4 * cap, (out) => {
        const n = this.glue._bitnet_session_tokenize(this.self, at, len, flags, out, cap);
        if (n < 0) throw this.error();
        return this.tokens(out, n);
      });
    });
  }

  detokenize(tokenIds: readonly number[]): string {
    return this.withBytes(4 * tokenIds.length, (at) => {
      new Int32Array(this.memory.buffer, at, tokenIds.length).set(tokenIds);
      this.check(this.glue._bitnet_session_detokenize(this.self, at, tokenIds.length));
      return this.decoder.decode(this.takeResult());
    });
  }

  chatText(messages: readonly ChatMessage[]): string {
    this.glue._bitnet_session_request_start(this.self, 0n);
    this.giveMessages(messages);
    this.check(this.glue._bitnet_session_chat_text(this.self));
    return this.decoder.decode(this.takeResult());
  }

  /* ---- the KV cache ---- */

  save(): ArrayBuffer {
    this.check(this.glue._bitnet_session_save(this.self));
    return this.takeResult().buffer;
  }

  restore(state: ArrayBuffer): void {
    this.withBytes(state.byteLength, (at) => {
      this.heap().set(new Uint8Array(state), at);
      this.check(this.glue._bitnet_session_restore(this.self, at, state.byteLength));
    });
  }

  /* ---- perplexity: one text at a time ---- */

  scoreStart(text: string): void {
    this.withText(text, (at, len) => this.check(this.glue._bitnet_session_score_start(this.self, at, len)));
  }

  /** One pass; true when it was the last. */
  scoreStep(): boolean {
    return this.check(this.glue._bitnet_session_score_step(this.self)) === STATUS_DONE;
  }

  score(): PerplexityProgress {
    return JSON.parse(this.text(this.glue._bitnet_session_score(this.self))) as PerplexityProgress;
  }

  scoreEnd(): void {
    this.glue._bitnet_session_score_end(this.self);
  }

  /* ---- tracker ---- */

  /** Without a url the messages are to be taken with trackTake. */
  trackOpen(url: string | undefined, name: string, host: string, instance: bigint): void {
    this.withText(url ?? "", (urlAt) =>
      this.withText(name, (nameAt) =>
        this.withText(host, (hostAt) => {
          const to = url === undefined ? 0 : urlAt;
          this.check(this.glue._bitnet_session_track_open(this.self, to, nameAt, hostAt, instance));
        }),
      ),
    );
  }

  /** The oldest message that waits. */
  trackTake(): string | undefined {
    const at = this.glue._bitnet_session_track_take(this.self);
    return at === 0 ? undefined : this.text(at);
  }

  trackClose(): void {
    this.glue._bitnet_session_track_close(this.self);
  }

  /** undefined when not tracking. */
  trackState(): TrackState | undefined {
    return this.withBytes(4, (code) => {
      const state = TRACK_STATES[this.glue._bitnet_session_track_state(this.self, code)];
      return state && { state, closeCode: new DataView(this.memory.buffer).getInt32(code, true) };
    });
  }

  /** What the page's own heap holds, in bytes. */
  jsHeap(bytes: number): void {
    this.glue._bitnet_session_js_heap(this.self, bytes);
  }

  /** The browser throws for a url that it will not even try; the C frames it flew through are unwound here. */
  pump(): void {
    const stack = this.glue.stackSave();
    try {
      this.glue._bitnet_session_pump(this.self);
    } catch (error) {
      this.glue.stackRestore(stack);
      throw error;
    }
  }

  /* ---- profile ---- */

  profileOpen(spansCap: number, bytesPerSecond: number, int8OperationsPerSecond: number): void {
    const { glue, self } = this;
    this.check(glue._bitnet_session_profile_open(self, spansCap, bytesPerSecond, int8OperationsPerSecond, 0));
  }

  profileClose(): void {
    this.glue._bitnet_session_profile_close(this.self);
  }

  profileLabels(): string[] {
    const labels: string[] = [];
    for (let i = 0; ; i++) {
      const at = this.glue._bitnet_session_profile_label(this.self, i);
      if (at === 0) return labels;
      labels.push(this.text(at));
    }
  }

  /** phase 0 is prefill, 1 decode. */
  profileKernel(kernel: number, phase: number): Omit<KernelWork, "kernel"> {
    return this.work(this.glue._bitnet_session_profile_kernel(this.self, kernel, phase));
  }

  profileLayers(): LayerWork[] {
    const layers: LayerWork[] = [];
    for (let layer = 0; ; layer++) {
      const at = this.glue._bitnet_session_profile_layer(this.self, layer);
      if (at === 0) return layers;
      layers.push({ layer, ...this.work(at) });
    }
  }

  /** A copy of what one thread told since the last clear, and its clock, in ns; error -1: not known. undefined past the
   * last thread. */
  profileSpans(thread: number): { rows: Uint8Array; offset: number; error: number; nDropped: number } | undefined {
    const at = this.glue._bitnet_session_profile_spans(this.self, thread) >>> 0;
    if (at === 0) return undefined;
    const view = new DataView(this.memory.buffer, at, 32);
    const [span, n] = [view.getUint32(0, true), view.getInt32(4, true)];
    const rows = this.heap().slice(span, span + n * SPAN_SIZE);
    const [offset, error] = [view.getFloat64(8, true), view.getFloat64(16, true)];
    return { rows, offset, error, nDropped: view.getFloat64(24, true) };
  }

  profileClear(): void {
    this.glue._bitnet_session_profile_clear(this.self);
  }

  heapSize(): number {
    return this.memory.buffer.byteLength;
  }

  /** A bitnet_work. */
  private work(pointer: number): Omit<KernelWork, "kernel"> {
    const view = new DataView(this.memory.buffer, pointer >>> 0, 56);
    const [calls, ns, bytes, activationBytes, int8, f32] = [0, 8, 16, 24, 32, 40].map((field) =>
      Number(view.getBigUint64(field, true)),
    ) as [number, number, number, number, number, number];
    const [seconds, least] = [ns * 1e-9, view.getFloat64(48, true)];
    const roofline = least > 0 && seconds > 0 ? least / seconds : undefined;
    return { calls, seconds, bytes, activationBytes, operations: int8 + f32, roofline };
  }

  /* ---- the heap ---- */

  private heap(): Uint8Array {
    return new Uint8Array(this.memory.buffer);
  }

  private error(): BitnetError {
    const id = this.text(this.glue._bitnet_session_error_id(this.self));
    return new BitnetError(id, this.text(this.glue._bitnet_session_error_text(this.self)));
  }

  /** The status, when it is not an error. */
  private check(status: number): number {
    if (status < 0) throw this.error();
    return status;
  }

  private takeResult(): Uint8Array<ArrayBuffer> {
    const at = this.glue._bitnet_session_result(this.self) >>> 0;
    const size = this.glue._bitnet_session_result_size(this.self) >>> 0;
    const bytes = new Uint8Array(size);
    bytes.set(this.heap().subarray(at, at + size));
    this.glue._bitnet_session_result_free(this.self);
    return bytes;
  }

  private decode(at: number, len: number): string {
    return len === 0 ? "" : this.decoder.decode(this.heap().slice(at, at + len));
  }

  private text(pointer: number): string {
    return textAt(this.memory, pointer);
  }

  private tokens(pointer: number, n: number): number[] {
    return Array.from(new Int32Array(this.memory.buffer, pointer >>> 0, n));
  }

  private allocate(size: number): number {
    const at = this.glue._malloc(size || 1) >>> 0;
    if (at === 0) throw new BitnetError("session.memory", `The browser gives no memory for ${size} bytes.`);
    return at;
  }

  private withBytes<T>(size: number, use: (at: number) => T): T {
    const at = this.allocate(size);
    try {
      return use(at);
    } finally {
      this.glue._free(at);
    }
  }

  /** UTF-8 with a terminating zero that len does not count. */
  private withText<T>(text: string, use: (at: number, len: number) => T): T {
    const { at, len } = this.give(text);
    try {
      return use(at, len);
    } finally {
      this.glue._free(at);
    }
  }

  /** The same, for a call that takes it over. */
  private give(text: string): { at: number; len: number } {
    const bytes = this.encoder.encode(text);
    const at = this.allocate(bytes.length + 1);
    this.heap().set(bytes, at);
    this.heap()[at + bytes.length] = 0;
    return { at, len: bytes.length };
  }

  private giveMessages(messages: readonly ChatMessage[]): void {
    for (const { role, content } of messages) {
      const { at, len } = this.give(content);
      this.check(this.glue._bitnet_session_request_message(this.self, ROLES.indexOf(role), at, len));
    }
  }
}
