/* loading.ts: from a source to a session that can answer: starts a module, streams the file into its heap, loads
 * it. What comes of it belongs to the caller; on a failure nothing is left but what is stored.
 */
import { download, type Arrived } from "./download.js";
import { BitnetError } from "./errors.js";
import type { Choice } from "./features.js";
import type { Instance } from "./glue.js";
import { hostName, randomInstance } from "./host.js";
import type { LoadRequest } from "./rpc.js";
import { Session } from "./session.js";
import { SessionSink } from "./sink.js";
import { startBest } from "./starting.js";
import type { LoadProgress, ModelInfo } from "./types.js";

/** What was asked for is not always what started. */
function threadsReason(asked: Choice<number>, started: number): string {
  return started === asked.value ? asked.reason : `${asked.value} threads were wanted; ${started} could be started.`;
}

/** A file that is no GGUF file, or a broken one, is not worth keeping; one that only does not fit here is. */
function isFileFault(error: unknown): boolean {
  return error instanceof BitnetError && error.code.startsWith("gguf.") && error.code !== "gguf.memory";
}

export interface Loaded {
  instance: Instance;
  session: Session;
  info: ModelInfo;
}

export async function loadSession(
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
): Promise<Loaded> {
  const { instance, tier, pickThreads } = await startBest(request);
  const session = new Session(instance);
  const sink = new SessionSink(session, request.how);
  let arrived: Arrived | undefined;
  let threads: Choice<number>;
  try {
    let size = 0;
    let fromCache = false;
    const { cache, sha256 } = request;
    arrived = await download(request.source, sink, { cache, sha256 }, (progress) => {
      size = progress.loaded;
      if (progress.phase === "download") fromCache = progress.fromCache;
      onProgress(progress);
    });
    sink.place();
    onProgress({ phase: "prepare", loaded: size, total: size, bytesPerSecond: undefined, fromCache });
    threads = pickThreads();
    session.load(threads.value, request.how);
    await arrived.accept();
    if (request.track) {
      session.trackOpen(request.track.url, request.track.name, hostName(), randomInstance());
    }
  } catch (error) {
    session.free();
    if (isFileFault(error)) await arrived?.reject();
    else await arrived?.accept();
    throw error;
  }
  const info = session.info();
  return {
    instance,
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
