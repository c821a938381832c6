/* loading.ts: from a source to a session that can answer: chooses and starts a module, streams the file into its
 * heap, loads it. What comes of it belongs to the caller; on a failure nothing is left but what is stored.
 */
import { download, type Arrived } from "./download.js";
import { BitnetError } from "./errors.js";
import { chooseThreads, chooseTier, isSupported, selfTest, type Choice } from "./features.js";
import { startModule, type Instance } from "./glue.js";
import type { LoadRequest } from "./rpc.js";
import { Session } from "./session.js";
import { SessionSink } from "./sink.js";
import type { LoadProgress, ModelInfo, Tier } from "./types.js";

async function pickTier(forced: Tier | undefined): Promise<Choice<Tier>> {
  if (forced === undefined) {
    const choice = await chooseTier();
    if (choice) return choice;
    throw new BitnetError("wasm.simd", "This browser has no working WebAssembly SIMD; libbitnet needs it.");
  }
  if (!isSupported(forced)) throw new BitnetError("wasm.tier", `This browser cannot run the tier ${forced}.`);
  if (!(await selfTest(forced))) {
    throw new BitnetError("wasm.selftest", `This browser computes wrong sums in the tier ${forced}.`);
  }
  return { value: forced, reason: "This tier was asked for." };
}

async function startBest(
  tier: Tier,
  threads: Choice<number>,
  baseUrl: string | undefined,
): Promise<{ instance: Instance; threads: Choice<number> }> {
  const instance = await startModule(tier, threads.value, baseUrl);
  if (instance) return { instance, threads };
  const one = await startModule(tier, 1, baseUrl);
  if (!one) throw new BitnetError("wasm.start", "The browser starts no WebAssembly module.");
  return { instance: one, threads: { value: 1, reason: "This browser refuses shared memory for threads." } };
}

/** What was asked for is not always what started. */
function threadsReason(asked: Choice<number>, started: number): string {
  return started === asked.value ? asked.reason : `${asked.value} threads were wanted; ${started} could be started.`;
}

/** A file that is no GGUF file, or a broken one, is not worth keeping; one that only does not fit here is. */
function isFileFault(error: unknown): boolean {
  return error instanceof BitnetError && error.code.startsWith("gguf.") && error.code !== "gguf.memory";
}

export interface Loaded {
  session: Session;
  info: ModelInfo;
}

export async function loadSession(
  request: LoadRequest,
  signal: AbortSignal,
  onProgress: (progress: LoadProgress) => void,
): Promise<Loaded> {
  const tier = await pickTier(request.tier);
  signal.throwIfAborted();
  const { instance, threads } = await startBest(tier.value, chooseThreads(request.threads), request.baseUrl);
  const session = new Session(instance);
  const sink = new SessionSink(session, request.how);
  let arrived: Arrived | undefined;
  try {
    let size = 0;
    let fromCache = false;
    const { cache, sha256 } = request;
    arrived = await download(request.source, sink, { signal, cache, sha256 }, (progress) => {
      size = progress.loaded;
      if (progress.phase === "download") fromCache = progress.fromCache;
      onProgress(progress);
    });
    sink.place();
    onProgress({ phase: "prepare", loaded: size, total: size, bytesPerSecond: undefined, fromCache });
    session.load(threads.value, request.how);
    await arrived.accept();
    if (request.track) {
      const instanceId = crypto.getRandomValues(new BigUint64Array(1))[0]! || 1n;
      session.trackOpen(request.track.url, request.track.name, instanceId);
    }
  } catch (error) {
    session.free();
    if (isFileFault(error)) await arrived?.reject();
    else await arrived?.accept();
    throw error;
  }
  const info = session.info();
  return {
    session,
    info: {
      ...info,
      tierReason: tier.reason,
      threadsReason: threadsReason(threads, info.threads),
      cache: arrived.cache,
      cacheReason: arrived.cacheReason,
    },
  };
}
