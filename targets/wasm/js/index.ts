/* index.ts: the package. load starts a worker, the worker runs the model; the page only sends and receives.
 *
 *   import { load } from "libbitnet";
 *   const model = await load("model.gguf", { onProgress: (p) => console.log(p.loaded, p.total) });
 *   for await (const { text } of model.generate("Once upon a time", { maxTokens: 64 })) out.append(text);
 *   await model.dispose();
 *
 * worker.js and the WebAssembly modules are found beside this file; options.baseUrl says otherwise. docs/api.md is
 * the reference.
 */
import type { RawSource } from "./download.js";
import { BitnetError } from "./errors.js";
import { stop, whenAborted, WorkerGeneration } from "./generation.js";
import type { HeadSource } from "./header.js";
import { watchHeap } from "./heap.js";
import { IS_NODE, startWorker } from "./host.js";
import { makeStopFlag, WorkerClient, type GenerateRequest, type LoadRequest, type Notice } from "./rpc.js";
import { measureBounds, WorkerProfile } from "./profiling.js";
import { absoluteUrl, entryUrl } from "./storage.js";
import type { TrackerMessage } from "./tracker.js";
import { CACHE_MODES, CACHE_TYPES, ROLES, SAMPLER_OPTIONS, SWITCHES, TIERS } from "./types.js";
import type {
  ChatMessage,
  GenerateOptions,
  Generation,
  LoadOptions,
  LoadProgress,
  MachineBounds,
  Metrics,
  Model,
  ModelInfo,
  ModelSource,
  Perplexity,
  PerplexityOptions,
  PredictOptions,
  Prediction,
  PredictSource,
  Profile,
  ProfileOptions,
  TokenizeOptions,
  TrackOptions,
} from "./types.js";

export { BitnetError } from "./errors.js";
export { METRIC_DEFINITIONS } from "./metrics.gen.js";
export { storage } from "./storage.js";
export * from "./types.js";
export type { TrackerMessage } from "./tracker.js";

/* For `await using`; not every engine has the symbol, and compilers make it up where there is none. */
const ASYNC_DISPOSE: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
const MAX_THREADS = 64;
const DEFAULT_EVENTS = 200_000; /* of a trace: 30 MB */
const MAX_EVENTS = 2_000_000; /* 96 MB while they wait to be saved */
const SEED_LIMIT = 2n ** 64n;

function refuse(what: string): never {
  throw new BitnetError("options", what);
}

function checkInteger(name: string, value: number | undefined, min: number, max: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return value;
  return refuse(`${name} is ${value}; it is a whole number from ${min} to ${max}.`);
}

function oneOf<T extends string>(name: string, value: T | undefined, allowed: readonly T[]): T {
  const chosen = value ?? allowed[0]!;
  return allowed.includes(chosen) ? chosen : refuse(`${name} is "${chosen}"; it is ${allowed.join(", ")}.`);
}

function readSeed(value: number | bigint | string): bigint {
  const isWhole = typeof value === "number" ? Number.isSafeInteger(value) : /^\d{1,20}$/.test(String(value));
  const seed = isWhole ? BigInt(value) : -1n;
  if (seed < 0n || seed >= SEED_LIMIT) refuse(`seed is ${value}; it is a whole number from 0 to 2^64 - 1.`);
  return seed;
}

/** Of the token ids, whole numbers all; what they are allowed to be is for the vocabulary to say. */
function readBias(bias: Readonly<Record<number, number>>): [number, number][] {
  return Object.entries(bias).map(([key, value]) => {
    if (!/^\d{1,9}$/.test(key)) refuse(`logitBias has the key "${key}"; keys are token ids.`);
    return [Number(key), value];
  });
}

function readStop(texts: readonly string[]): readonly string[] {
  if (!Array.isArray(texts)) refuse("stop is no array of strings.");
  for (const text of texts) {
    if (typeof text !== "string" || text.includes("\0")) refuse("stop holds strings without U+0000.");
  }
  return texts;
}

function readMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map(({ role, content }, i) => {
    if (!ROLES.includes(role)) {
      const what = `message ${i} has the role "${role}"; allowed are system, user and assistant`;
      throw new BitnetError("chat.role", what);
    }
    return { role, content: String(content) };
  });
}

function readPrompt(prompt: string | readonly ChatMessage[]): string | ChatMessage[] {
  if (typeof prompt === "string") return prompt;
  if (Array.isArray(prompt)) return readMessages(prompt);
  return refuse("the prompt is neither a string nor an array of messages.");
}

function absolute(url: string | URL): string {
  return absoluteUrl(url).href;
}

/** What is found in a folder is beside its last slash, which may be left out. */
function folder(url: string | URL): string {
  const at = new URL(absolute(url));
  if (!at.pathname.endsWith("/")) at.pathname += "/";
  return at.href;
}

function trackUrl(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    /* refused below */
  }
  if (!url || !/^wss?:$/.test(url.protocol) || url.hash !== "") {
    throw new BitnetError("track.url", `"${text}" is not the URL of a hub: ws://host:port or wss://host:port.`);
  }
  if (url.pathname === "/") url.pathname = "/tracker";
  return url.href;
}

const isUrl = (source: unknown): source is string | URL => typeof source === "string" || source instanceof URL;
const isParts = (source: ModelSource): source is readonly (string | URL | Blob)[] => Array.isArray(source);

/** Node.js has paths, which the worker understands. */
function fileUrl(url: string | URL): string {
  return IS_NODE && !/^https?:/i.test(String(url)) ? String(url) : entryUrl(absolute(url));
}

function rawSource(source: ModelSource, sha256: string | undefined): RawSource {
  if (!isParts(source)) return isUrl(source) ? fileUrl(source) : source;
  if (source.length === 0) refuse("source is an empty array; it holds the parts of a split file.");
  if (sha256 !== undefined) refuse("sha256 is of one file, and source has several.");
  return source.map((part) => (isUrl(part) ? fileUrl(part) : part));
}

function readTrack(track: TrackOptions): LoadRequest["track"] {
  const name = track.name ?? "tab";
  return { url: "url" in track ? trackUrl(track.url) : undefined, name };
}

function loadRequest(source: ModelSource, options: LoadOptions): LoadRequest {
  const { tier, track } = options;
  const baseUrl = options.wasmUrl ?? options.baseUrl;
  const sha256 = options.sha256?.toLowerCase();
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) refuse("sha256 is not 64 hexadecimal digits.");
  if (tier !== undefined && !TIERS.includes(tier)) {
    refuse(`tier is "${tier}"; it is ${TIERS.slice(0, -1).join(", ")} or ${TIERS.at(-1)}.`);
  }
  return {
    op: "load",
    source: rawSource(source, sha256),
    cache: oneOf("cache", options.cache, CACHE_MODES),
    sha256,
    threads: checkInteger("threads", options.threads, 1, MAX_THREADS),
    tier,
    how: {
      nCtx: checkInteger("nCtx", options.nCtx, 1, 1 << 20) ?? 0,
      cacheTypeK: oneOf("cacheTypeK", options.cacheTypeK, CACHE_TYPES),
      cacheTypeV: oneOf("cacheTypeV", options.cacheTypeV, CACHE_TYPES),
      stagedHead: oneOf("stagedHead", options.stagedHead, SWITCHES),
    },
    baseUrl: baseUrl === undefined ? undefined : folder(baseUrl),
    track: track && readTrack(track),
  };
}

function workerUrl({ workerUrl, baseUrl }: Pick<LoadOptions, "workerUrl" | "baseUrl">): string | undefined {
  if (workerUrl !== undefined) return absolute(workerUrl);
  return baseUrl === undefined ? undefined : new URL("worker.js", folder(baseUrl)).href;
}

/** What the worker says unasked, for whom it was started. */
function listener(track: TrackOptions | undefined): (notice: Notice) => void {
  return (notice) => {
    if (!track) return;
    if (notice.type === "track" && "onState" in track) track.onState?.(notice.track);
    if (notice.type === "report" && "onReport" in track) track.onReport(JSON.parse(notice.message) as TrackerMessage);
  };
}

class WorkerModel implements Model {
  private disposal: Promise<void> | undefined;
  private bounds: Promise<MachineBounds> | undefined;

  /** Where from: of the worker and the modules, for one more. */
  constructor(
    private readonly client: WorkerClient,
    readonly info: ModelInfo,
    private readonly stopWatching: () => void,
    private readonly from: { workerUrl: string | undefined; baseUrl: string | undefined },
  ) {}

  generate(prompt: string | readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    const { maxTokens, stop = [], logitBias = {} } = options;
    const fields: GenerateRequest["fields"] = {};
    for (const name of SAMPLER_OPTIONS) if (options[name] !== undefined) fields[name] = options[name];
    if (maxTokens !== undefined) fields.maxTokens = checkInteger("maxTokens", maxTokens, 1, 2 ** 31 - 1)!;
    const request: GenerateRequest = {
      op: "generate",
      prompt: readPrompt(prompt),
      fields,
      stop: readStop(stop),
      logitBias: readBias(logitBias),
      seed: readSeed(options.seed ?? Math.floor(Math.random() * 2 ** 53)),
      flag: makeStopFlag(),
    };
    return new WorkerGeneration(this.client, request, options);
  }

  tokenize(text: string, options: TokenizeOptions = {}): Promise<number[]> {
    const { bos = true, special = false } = options;
    return this.client.call({ op: "tokenize", text, bos, special }).done;
  }

  detokenize(tokenIds: readonly number[]): Promise<string> {
    return this.client.call({ op: "detokenize", tokenIds }).done;
  }

  async chatTemplate(messages: readonly ChatMessage[]): Promise<string> {
    return this.client.call({ op: "chatTemplate", messages: readMessages(messages) }).done;
  }

  async perplexity(text: string, { signal, onProgress }: PerplexityOptions = {}): Promise<Perplexity> {
    signal?.throwIfAborted();
    const flag = makeStopFlag();
    const call = this.client.call({ op: "perplexity", text, flag }, (reply) => {
      if (reply.type === "score" && !signal?.aborted) onProgress?.(reply.score);
    });
    const stopListening = whenAborted(signal, () => stop(this.client, call.id, flag));
    try {
      return await call.done;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      stopListening();
    }
  }

  metrics(): Promise<Metrics> {
    return this.client.call({ op: "metrics" }).done;
  }

  resetMetrics(): Promise<void> {
    return this.client.call({ op: "resetMetrics" }).done;
  }

  saveState(): Promise<ArrayBuffer> {
    return this.client.call({ op: "saveState" }).done;
  }

  loadState(state: ArrayBuffer): Promise<void> {
    return this.client.call({ op: "loadState", state }).done;
  }

  async profile({ maxEvents = DEFAULT_EVENTS }: ProfileOptions = {}): Promise<Profile> {
    checkInteger("maxEvents", maxEvents, 1, MAX_EVENTS);
    this.bounds ??= measureBounds(this.from.workerUrl, this.from.baseUrl, this.info);
    this.bounds.catch(() => (this.bounds = undefined));
    return WorkerProfile.open(this.client, await this.bounds, maxEvents);
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.dispose();
  }

  dispose(): Promise<void> {
    this.stopWatching();
    this.disposal ??= this.client
      .call({ op: "dispose" })
      .done.catch(() => undefined) /* a worker that has failed is gone all the same */
      .then(() => this.client.terminate(new BitnetError("model.disposed", "The model was disposed of.")));
    return this.disposal;
  }
}

function hasOneHeader(source: RawSource): source is HeadSource {
  return !Array.isArray(source) && !(source instanceof ReadableStream);
}

/** What a model would do here, from its header and about two seconds of measuring, in a worker of its own. */
export async function predict(source: PredictSource, options: PredictOptions = {}): Promise<Prediction> {
  const { signal, ...rest } = options;
  const { source: from, threads, tier, how, baseUrl } = loadRequest(source, rest);
  if (!hasOneHeader(from)) {
    return refuse("Nothing is predicted of a stream, which can be read once, or of the parts of a split file.");
  }
  signal?.throwIfAborted();
  const client = new WorkerClient(await startWorker(workerUrl(options)), () => undefined);
  const end = (): void => client.terminate(new BitnetError("aborted", "The prediction was aborted."));
  const stopListening = whenAborted(signal, end);
  try {
    return await client.call({ op: "predict", source: from, threads, tier, how, baseUrl }).done;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    stopListening();
    end();
  }
}

/** Loads a model into a worker of its own. Rejects with a BitnetError, or with the signal's reason. */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  const request = loadRequest(source, options);
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const client = new WorkerClient(await startWorker(workerUrl(options)), listener(options.track));
  const onReply = (reply: { type: string; progress?: LoadProgress }): void => {
    if (reply.progress && !signal?.aborted) onProgress?.(reply.progress);
  };
  const call = client.call(request, onReply, source instanceof ReadableStream ? [source] : []);
  const stopListening = whenAborted(signal, () => client.terminate(new BitnetError("aborted", "Loading was aborted.")));
  try {
    const info = await call.done;
    const isTracked = options.track !== undefined;
    const stopWatching = isTracked ? watchHeap((bytes) => client.call({ op: "jsHeap", bytes }).done) : () => undefined;
    return new WorkerModel(client, info, stopWatching, { workerUrl: workerUrl(options), baseUrl: request.baseUrl });
  } catch (error) {
    client.terminate(new BitnetError("worker.failed", "The model was not loaded."));
    signal?.throwIfAborted();
    if (error instanceof DOMException && error.name === "DataCloneError") {
      refuse("source cannot be handed to a worker: a stream that is being read already, or one that this browser keeps.");
    }
    throw error;
  } finally {
    stopListening();
  }
}
