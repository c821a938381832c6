/* glue.ts: the Emscripten modules: which file, which memory, what they export (targets/wasm/exports.h). */
import { BitnetError, reasonOf } from "./errors.js";
import { wasmBinary } from "./host.js";
import type { Tier } from "./types.js";

/** Pointers and sizes come back signed: apply >>> 0. */
export interface Glue {
  _malloc(size: number): number;
  _free(pointer: number): void;
  stackSave(): number;
  stackRestore(pointer: number): void;
  _bitnet_session_create(): number;
  _bitnet_session_free(session: number): void;
  _bitnet_session_plan(
    session: number,
    bytes: number,
    len: number,
    fileSize: number,
    nCtx: number,
    cacheTypeK: number,
    cacheTypeV: number,
    staged: number,
  ): number;
  _bitnet_session_reserve(session: number, size: number, room: number): number;
  _bitnet_session_unreserve(session: number): void;
  _bitnet_session_load(
    session: number,
    nThreads: number,
    nCtx: number,
    cacheTypeK: number,
    cacheTypeV: number,
    staged: number,
  ): number;
  _bitnet_session_error_id(session: number): number;
  _bitnet_session_error_text(session: number): number;
  _bitnet_session_info(session: number): number;
  _bitnet_session_request_start(session: number, seed: bigint): void;
  _bitnet_session_request_set(session: number, field: number, value: number): void;
  _bitnet_session_request_prompt(session: number, text: number, len: number): void;
  _bitnet_session_request_message(session: number, role: number, text: number, len: number): number;
  _bitnet_session_request_stop(session: number, text: number): void;
  _bitnet_session_request_bias(session: number, token: number, bias: number): void;
  _bitnet_session_submit(session: number): number;
  _bitnet_session_step(session: number): number;
  _bitnet_session_cancel(session: number, request: number): void;
  _bitnet_session_poll(session: number): number;
  _bitnet_session_event_request(session: number): number;
  _bitnet_session_event_token(session: number): number;
  _bitnet_session_event_text(session: number): number;
  _bitnet_session_event_text_len(session: number): number;
  _bitnet_session_event_prompt(session: number): number;
  _bitnet_session_event_n_prompt(session: number): number;
  _bitnet_session_event_end(session: number): number;
  _bitnet_session_metrics(session: number): number;
  _bitnet_session_reset_metrics(session: number): void;
  _bitnet_session_tokenize(
    session: number,
    text: number,
    len: number,
    flags: number,
    out: number,
    cap: number,
  ): number;
  _bitnet_session_result(session: number): number;
  _bitnet_session_result_size(session: number): number;
  _bitnet_session_result_free(session: number): void;
  _bitnet_session_detokenize(session: number, ids: number, n: number): number;
  _bitnet_session_chat_text(session: number): number;
  _bitnet_session_save(session: number): number;
  _bitnet_session_restore(session: number, data: number, size: number): number;
  _bitnet_session_score_start(session: number, text: number, len: number): number;
  _bitnet_session_score_step(session: number): number;
  _bitnet_session_score(session: number): number;
  _bitnet_session_score_end(session: number): void;
  _bitnet_session_track_open(session: number, url: number, name: number, host: number, instance: bigint): number;
  _bitnet_session_track_close(session: number): void;
  _bitnet_session_track_state(session: number, closeCode: number): number;
  _bitnet_session_track_take(session: number): number;
  _bitnet_session_js_heap(session: number, bytes: number): void;
  _bitnet_session_pump(session: number): void;
  _bitnet_session_profile_open(session: number, spansCap: number, read: number, i8: number, f32: number): number;
  _bitnet_session_profile_close(session: number): void;
  _bitnet_session_profile_label(session: number, kernel: number): number;
  _bitnet_session_profile_kernel(session: number, kernel: number, phase: number): number;
  _bitnet_session_profile_layer(session: number, layer: number): number;
  _bitnet_session_profile_spans(session: number, thread: number): number;
  _bitnet_session_profile_clear(session: number): void;
  _bitnet_hash_create(): number;
  _bitnet_hash_update(hash: number, bytes: number, size: number): void;
  _bitnet_hash_final(hash: number, digest: number): void;
  _bitnet_selftest(seed: number, rounds: number): number;
  _bitnet_probe_create(size: number): number;
  _bitnet_probe_free(probe: number): void;
  _bitnet_probe_threads(probe: number, nThreads: number): number;
  _bitnet_probe_rate(probe: number, kind: number, piece: number, ms: number): number;
  /** Of modules with threads. */
  PThread?: { terminateAllThreads(): void };
}

type GlueFactory = (init: {
  wasmMemory: WebAssembly.Memory;
  pthreadPoolSize: number;
  printErr: (line: string) => void;
  wasmBinary?: ArrayBuffer;
}) => Promise<Glue>;

export interface Instance {
  glue: Glue;
  memory: WebAssembly.Memory;
  /** Ends the workers of a module that will not be used. */
  stopThreads(): void;
}

/** A zero-terminated string; decoders refuse shared memory, so it is copied. */
export function textAt(memory: WebAssembly.Memory, pointer: number): string {
  const heap = new Uint8Array(memory.buffer);
  const at = pointer >>> 0;
  return new TextDecoder().decode(heap.slice(at, heap.indexOf(0, at)));
}

/** bitnet_probe_kind: what a rate is of. Bytes a second; of prompt multiply-adds, of fork runs of the pool. */
export const ProbeKind = { read: 0, tern: 1, prompt: 2, f16: 3, scan: 4, floats: 5, fork: 6 } as const;
export type ProbeKind = (typeof ProbeKind)[keyof typeof ProbeKind];

/** Rates of this machine in a module that has started (targets/rates.h). */
export class RateProbe {
  private constructor(
    private readonly glue: Glue,
    private readonly self: number,
  ) {}

  /** undefined: there is no memory for a buffer of that size. */
  static create({ glue }: Instance, size: number): RateProbe | undefined {
    const self = glue._bitnet_probe_create(size);
    return self === 0 ? undefined : new RateProbe(glue, self);
  }

  /** From now on with so many threads, or as many as start; how many that are. */
  setThreads(n: number): number {
    return this.glue._bitnet_probe_threads(this.self, n);
  }

  /** Takes about `ms`; `piece` bytes are one product. */
  rate(kind: ProbeKind, piece: number, ms: number): number {
    return this.glue._bitnet_probe_rate(this.self, kind, piece, ms);
  }

  free(): void {
    this.glue._bitnet_probe_free(this.self);
  }
}

const HERE: string = import.meta.url; /* apart from new URL: bundlers take the modules' own, and need no more */
const PAGES_PER_MB = 16;
const INITIAL_MB = 8; /* INITIAL_MEMORY in cmake/wasm.cmake */

/** Memory that may grow as far as this browser lets it; shared memory reserves its address space at once. */
function makeMemory(shared: boolean): WebAssembly.Memory | undefined {
  for (const mb of [4096, 2048, 1024, 512]) {
    try {
      const initial = INITIAL_MB * PAGES_PER_MB;
      return new WebAssembly.Memory({ initial, maximum: mb * PAGES_PER_MB, shared });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return undefined;
}

/* The imports are spelled out, so that bundlers see them. */
async function importFactory(tier: Tier, isThreaded: boolean, baseUrl: string | undefined): Promise<GlueFactory> {
  const load = async (): Promise<{ default: unknown }> => {
    if (baseUrl !== undefined) {
      const url = new URL(`bitnet-${tier}${isThreaded ? "-mt" : ""}.mjs`, baseUrl).href;
      return import(/* @vite-ignore */ /* webpackIgnore: true */ url);
    }
    if (tier === "relaxed") return isThreaded ? import("./bitnet-relaxed-mt.mjs") : import("./bitnet-relaxed.mjs");
    if (tier === "simd128") return isThreaded ? import("./bitnet-simd128-mt.mjs") : import("./bitnet-simd128.mjs");
    return isThreaded ? import("./bitnet-c-mt.mjs") : import("./bitnet-c.mjs");
  };
  return (await load()).default as GlueFactory;
}

/** Starts a module; with threads, its pool is running when this resolves. undefined: the browser gives no memory for
 * it, which with threads is shared memory. */
export async function startModule(
  tier: Tier,
  nThreads: number,
  baseUrl: string | undefined,
): Promise<Instance | undefined> {
  const isThreaded = nThreads > 1;
  const memory = makeMemory(isThreaded);
  if (!memory) return undefined;
  try {
    const factory = await importFactory(tier, isThreaded, baseUrl);
    const printErr = (line: string): void => console.error(`libbitnet: ${line}`);
    const name = `bitnet-${tier}${isThreaded ? "-mt" : ""}.wasm`;
    const binary = await wasmBinary(new URL(name, baseUrl ?? HERE));
    const glue = await factory({ wasmMemory: memory, pthreadPoolSize: nThreads - 1, printErr, ...binary });
    return { glue, memory, stopThreads: () => glue.PThread?.terminateAllThreads() };
  } catch (error) {
    throw new BitnetError("wasm.start", `The WebAssembly module (${tier}) did not start: ${reasonOf(error)}`);
  }
}
