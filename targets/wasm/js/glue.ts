/* glue.ts: the Emscripten modules: which file, which memory, what they export (targets/wasm/exports.h). */
import { BitnetError } from "./errors.js";
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
  _bitnet_session_sampler(seed: bigint): number;
  _bitnet_session_sampler_set(sampler: number, field: number, value: number): void;
  _bitnet_session_submit(session: number, text: number, len: number, maxTokens: number, sampler: number): number;
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
  _bitnet_session_tokenize(
    session: number,
    text: number,
    len: number,
    flags: number,
    out: number,
    cap: number,
  ): number;
  _bitnet_session_track_open(session: number, url: number, name: number, instance: bigint): number;
  _bitnet_session_track_close(session: number): void;
  _bitnet_session_track_state(session: number, closeCode: number): number;
  _bitnet_session_pump(session: number): void;
  _bitnet_hash_create(): number;
  _bitnet_hash_update(hash: number, bytes: number, size: number): void;
  _bitnet_hash_final(hash: number, digest: number): void;
}

type GlueFactory = (init: {
  wasmMemory: WebAssembly.Memory;
  pthreadPoolSize: number;
  printErr: (line: string) => void;
}) => Promise<Glue>;

export interface Instance {
  glue: Glue;
  memory: WebAssembly.Memory;
}

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
      return import(new URL(`bitnet-${tier}${isThreaded ? "-mt" : ""}.mjs`, baseUrl).href);
    }
    if (tier === "relaxed") return isThreaded ? import("./bitnet-relaxed-mt.mjs") : import("./bitnet-relaxed.mjs");
    return isThreaded ? import("./bitnet-simd128-mt.mjs") : import("./bitnet-simd128.mjs");
  };
  return (await load()).default as GlueFactory;
}

/** Starts a module; with threads, its pool is running when this resolves. undefined: the browser refuses shared
 * memory, and one thread is left to try. */
export async function startModule(
  tier: Tier,
  nThreads: number,
  baseUrl: string | undefined,
): Promise<Instance | undefined> {
  const isThreaded = nThreads > 1;
  const memory = makeMemory(isThreaded);
  if (!memory) {
    if (isThreaded) return undefined;
    throw new BitnetError("session.memory", "The browser gives this page no memory for a WebAssembly module.");
  }
  try {
    const factory = await importFactory(tier, isThreaded, baseUrl);
    const printErr = (line: string): void => console.error(`libbitnet: ${line}`);
    const glue = await factory({ wasmMemory: memory, pthreadPoolSize: nThreads - 1, printErr });
    return { glue, memory };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BitnetError("wasm.start", `The WebAssembly module (${tier}) did not start: ${reason}`);
  }
}
