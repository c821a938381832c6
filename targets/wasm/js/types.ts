/* types.ts: the public types of the package. Times are seconds, sizes bytes.
 *
 * Names that also occur in `bitnet run --json` are spelled as there.
 */
import type { Metrics } from "./metrics.gen.js";
import type { TrackerMessage } from "./tracker.js";

export type { MetricDefinition, Metrics } from "./metrics.gen.js";

declare global {
  interface SymbolConstructor {
    /** As in TypeScript's lib esnext.disposable, which not everyone who uses these types has. */
    readonly asyncDispose: unique symbol;
  }
}

/** Tiers, slowest first: "c" has no SIMD. Each is a module of its own; the fastest that works here is the default. */
export type Tier = "c" | "simd128" | "relaxed";
export const TIERS: readonly Tier[] = ["c", "simd128", "relaxed"];

/** How keys or values are kept; "auto" is f16, f32 for the smallest models. In bitnet_kv_type's order. */
export const CACHE_TYPES = ["auto", "f16", "f32", "q8_0"] as const;
export type CacheType = (typeof CACHE_TYPES)[number];

/** Of something that costs memory and gives the same tokens sooner. In bitnet_switch's order. */
export const SWITCHES = ["auto", "on", "off"] as const;
export type Switch = (typeof SWITCHES)[number];

/** Where the bytes of a GGUF file come from. An ArrayBuffer is copied, a stream is used up, an array holds all parts
 * of a split file in any order. */
export type ModelSource =
  | string
  | URL
  | Blob
  | ArrayBuffer
  | ReadableStream<Uint8Array>
  | FileSystemFileHandle
  | readonly (string | URL | Blob)[];

export interface LoadProgress {
  /** "download": bytes arrive in the heap. "verify": their SHA-256 is computed. "prepare": the file is checked and
   * bound. */
  phase: "download" | "verify" | "prepare";
  /** Goes back to 0 when a download has to start anew. */
  loaded: number;
  /** undefined when the server does not say. */
  total: number | undefined;
  /** Over the last seconds; undefined at the beginning. */
  bytesPerSecond: number | undefined;
  /** The bytes come from the store of this browser. */
  fromCache: boolean;
}

/** "auto": the file of a URL is stored in this browser (OPFS, or IndexedDB where that is missing), and the next load
 * takes it from there without asking the server; storage.delete, or another sha256, makes it ask again. "check": it
 * asks each time whether the file is still the same, and takes the stored one where nobody answers. */
export const CACHE_MODES = ["auto", "check", "off"] as const;
export type CacheMode = (typeof CACHE_MODES)[number];

/** How much of the file this browser keeps for the next visit. */
export type CacheState = "stored" | "partial" | "none";

export interface StoredModel {
  url: string;
  size: number;
  /** Bytes that are here; a download goes on from there. */
  stored: number;
  isComplete: boolean;
  /** Of the whole file, once a load was given it and found it right. */
  sha256?: string;
  usedAt: Date;
}

/** The models that this origin keeps. Works without a model, on the page and in workers. */
export interface ModelStorage {
  /** Last used first. */
  list(): Promise<StoredModel[]>;
  /** Of all that this origin stores, in bytes. */
  estimate(): Promise<{ usage: number; quota: number }>;
  /** Rejects with "storage.busy" while a tab loads it; nothing there is fine. */
  delete(url: string | URL): Promise<void>;
  clear(): Promise<void>;
  /** Asks the browser to keep it all when space gets scarce; whether it will. */
  persist(): Promise<boolean>;
}

/** connecting: also while waiting to try again. refused: the hub closed with `closeCode` and is left alone. */
export interface TrackState {
  state: "connecting" | "open" | "refused";
  closeCode: number;
}

/** Reports to a hub (docs/protocol.md). */
export interface HubTrackOptions {
  /** Of a hub: ws://host:port, wss://…; the path is /tracker when there is none. */
  url: string;
  /** Row title on the dashboard. */
  name?: string;
  onState?: (state: TrackState) => void;
}

/** Reports to a callback: the messages that a hub would get (libbitnet/tracker has their types). */
export interface ReportTrackOptions {
  onReport: (message: TrackerMessage) => void;
  name?: string;
}

export type TrackOptions = HubTrackOptions | ReportTrackOptions;

export interface LoadOptions {
  onProgress?: (progress: LoadProgress) => void;
  /** Aborting rejects load with the signal's reason. What arrived stays in the store, and the next load goes on from
   * there. */
  signal?: AbortSignal;
  cache?: CacheMode;
  /** 64 hexadecimal digits: a file with other ones is an error, "load.sha256". Not for split files. */
  sha256?: string;
  /** Threads that compute. Default: as many as a probe finds to pay, at most 8; 1 where there is no shared memory. */
  threads?: number;
  /** Forces a tier; an error where it does not work. */
  tier?: Tier;
  /** Context window in tokens. Default: what the model was trained with, less where that would take much memory. */
  nCtx?: number;
  cacheTypeK?: CacheType;
  cacheTypeV?: CacheType;
  /** Whether the output head is split in memory, so that a token reads few of its bytes: 1.4 to 1.9 times as fast
   * (docs/speed.md), with the same tokens; several times slower where every logit is wanted. Default "auto": for a head
   * of 32 MB and more, where what it takes beside the file is at most a fifth of that. */
  stagedHead?: Switch;
  /** Reports while the model lives, to a hub or to a callback. An absent hub is no error and costs nothing. */
  track?: TrackOptions;
  /** The folder of worker.js and the modules, when they are not beside index.js. */
  baseUrl?: string | URL;
  /** worker.js itself; it must be of the page's origin. Default: in baseUrl. */
  workerUrl?: string | URL;
  /** The folder of the modules, bitnet-*.mjs and .wasm. Default: baseUrl, or beside worker.js. */
  wasmUrl?: string | URL;
}

/** Where a header can be read without the rest. */
export type PredictSource = string | URL | Blob | ArrayBuffer | FileSystemFileHandle;

/** Those of a load that make a difference before the file is there. */
export type PredictOptions = Pick<
  LoadOptions,
  | ("signal" | "threads" | "tier" | "nCtx" | "cacheTypeK" | "cacheTypeV" | "stagedHead")
  | ("baseUrl" | "workerUrl" | "wasmUrl")
>;

/** A second. */
export interface PredictedRate {
  low: number;
  expected: number;
  high: number;
}

/** What a model would do here; nothing of it but the header was read. */
export interface Prediction {
  /** From the header; sizes in bytes. */
  model: {
    arch: string;
    /** general.name of the file; "" if it has none. */
    name: string;
    nParams: number;
    fileSize: number;
    nCtx: number;
    nCtxTrain: number;
    nLayer: number;
    nEmbd: number;
    nVocab: number;
    /** Read for each token: all of it, ternary weights, and the head, of which stages may read less. */
    tokenBytes: number;
    ternaryBytes: number;
    headBytes: number;
    isStaged: boolean;
  };
  memory: {
    needed: number;
    /** undefined where the browser does not tell the machine's memory. */
    available: number | undefined;
    fits: boolean;
    text: string;
  };
  /** While it answers, over a short context. */
  tokensPerSecond: PredictedRate;
  /** While it reads a prompt. */
  promptTokensPerSecond: PredictedRate;
  /** The first of these as a sentence. */
  text: string;
  threads: number;
  threadsReason: string;
  tier: Tier;
  tierReason: string;
  /** What was measured, on that many threads. */
  probe: {
    /** Of reading a buffer of the model's size, 96 MB at most, with nothing done to the bytes. */
    bytesPerSecond: number;
    ternaryBytesPerSecond: number;
    headBytesPerSecond: number;
    promptMacsPerSecond: number;
    floatsPerSecond: number;
    /** Of handing work to all threads and waiting for them. */
    forkSeconds: number;
    /** How long all that took. */
    seconds: number;
  };
}

export interface ModelInfo {
  arch: string;
  /** general.name of the file; "" if it has none. */
  name: string;
  backend: string;
  /** Kernel variant that computes, and why this one. */
  tier: Tier;
  tierReason: string;
  tokenizer: string;
  /** Family of the model's chat template; "none" for a base model, which only carries on a text. */
  chatTemplate: string;
  threads: number;
  /** One sentence: why this many. */
  threadsReason: string;
  cache: CacheState;
  /** Sentences: why not all is stored, or what was found damaged; "" when there is nothing to say. */
  cacheReason: string;
  nCtx: number;
  nCtxTrain: number;
  nLayer: number;
  nEmbd: number;
  nVocab: number;
  nParams: number;
  fileSize: number;
  weightSize: number;
  /** Bytes of weights that one decoded token reads. */
  tokenBytes: number;
  /** Bytes of KV cache and buffers. */
  contextSize: number;
}

/** In the order of bitnet_role (targets/wasm/exports.h). */
export const ROLES = ["system", "user", "assistant"] as const;

export interface ChatMessage {
  role: (typeof ROLES)[number];
  content: string;
}

/** Numbers that the sampler is told. In the order of bitnet_request_field, behind its first. */
export const SAMPLER_OPTIONS = [
  "temp",
  "topK",
  "topP",
  "minP",
  "repeatPenalty",
  "frequencyPenalty",
  "presencePenalty",
  "penaltyLastN",
] as const;

export interface GenerateOptions {
  /** Default: until the model stops or the window is full. */
  maxTokens?: number;
  /** 0 is greedy. Defaults, as in the command line: 0.8, 40, 0.95, 0.05. */
  temp?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  /** Of the last penaltyLastN tokens; off by default: 1, 0, 0, 64. docs/sampling.md has the formulas. */
  repeatPenalty?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  /** -1: the whole window. */
  penaltyLastN?: number;
  /** Added to the logits of these token ids; -Infinity bans one. */
  logitBias?: Readonly<Record<number, number>>;
  /** At most 16. The text ends before the first of these; the tokens that made it are in tokenIds. */
  stop?: readonly string[];
  /** 0 … 2^64 - 1. Default: random. */
  seed?: number | bigint | string;
  /** Aborting ends the generation with finishReason "cancelled"; what was written stays. */
  signal?: AbortSignal;
  /** Called for every token, as an alternative to the loop. What it throws cancels, and rejects the result. */
  onToken?: (token: GeneratedToken) => void;
}

export type FinishReason = "stop" | "length" | "cancelled";

/** As the engine takes them, 0 where there was nothing to take; bitnet/metrics.h has the definitions. */
export interface Timings {
  n_prompt: number;
  n_prompt_computed: number;
  n_generated: number;
  n_drafted: number;
  n_accepted: number;
  tokenize_s: number;
  prefill_s: number;
  ttft_s: number;
  decode_s: number;
  decode_pass_s: number;
  sample_s: number;
  detokenize_s: number;
  e2e_s: number;
}

export interface Usage {
  promptTokens: number;
  /** A final end token included. */
  completionTokens: number;
  totalTokens: number;
  /** Of promptTokens: those that were still in the cache, and not computed. */
  cachedTokens: number;
}

export interface GenerateResult {
  text: string;
  promptTokenIds: number[];
  tokenIds: number[];
  finishReason: FinishReason;
  usage: Usage;
  timings: Timings;
  /** What follows from the timings; null where nothing was measured. */
  metrics: Metrics;
  /** The one that was used; as text, since a number would lose bits. */
  seed: string;
}

/** `text` holds whole characters only and may be empty. `token` is -1 when the text is what was held
 * back of a character that the model never finished. */
export interface GeneratedToken {
  token: number;
  text: string;
}

/** Tokens as they come, and the whole at the end. Leaving a `for await` loop early cancels. */
export interface Generation extends AsyncIterable<GeneratedToken> {
  readonly result: Promise<GenerateResult>;
  cancel(): void;
}

export interface TokenizeOptions {
  /** Put the model's begin token first. Default: true, as generate does. */
  bos?: boolean;
  /** Let "<|eot_id|>" in the text become that token. Never for text of users. Default: false. */
  special?: boolean;
}

export interface Perplexity {
  /** exp of the mean negative log-likelihood of a token. */
  perplexity: number;
  standardError: number;
  /** Predicted ones: all of the text, but for the first of a chunk where the model has no begin token. */
  nTokens: number;
}

export interface PerplexityProgress extends Perplexity {
  total: number;
}

export interface PerplexityOptions {
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal;
  onProgress?: (progress: PerplexityProgress) => void;
}

/** What this machine can do, from a short probe on as many threads as the model has. */
export interface MachineBounds {
  threads: number;
  /** Of reading a buffer of the model's size, 96 MB at most. */
  bytesPerSecond: number;
  /** Multiply-adds of the ternary product, its weights in a cache. */
  int8OperationsPerSecond: number;
}

/** docs/profiling.md has the definitions. */
export interface KernelWork {
  /** "tern_matmul.ffn_down": the kernel, and the weights' name in the file. */
  kernel: string;
  calls: number;
  seconds: number;
  /** Of weights, as far as they were read, and of keys and values. */
  bytes: number;
  activationBytes: number;
  /** Multiply-adds. */
  operations: number;
  /** What the machine's bounds allow as a share of the time it took; undefined where nothing bounds it. */
  roofline: number | undefined;
}

export interface LayerWork extends Omit<KernelWork, "kernel"> {
  layer: number;
}

export interface ProfileReport {
  machine: MachineBounds;
  /** Kernels that were called, in these phases. */
  prefill: KernelWork[];
  decode: KernelWork[];
  /** Of both phases. */
  layers: LayerWork[];
}

export interface ProfileOptions {
  /** Most events of a trace, of about 150 bytes each; those after it are left out, and counted. Default: 200 000. */
  maxEvents?: number;
}

export interface Profile {
  /** Since the profile began. */
  report(): Promise<ProfileReport>;
  /** A Chrome trace of all threads, the worker and the page, as JSON: for ui.perfetto.dev. Since the profile began. */
  trace(): Promise<Blob>;
  /** The model runs on without it. */
  stop(): Promise<void>;
}

export interface Model {
  readonly info: ModelInfo;
  /** A prompt is continued; a conversation is answered as the assistant. Several generations wait for each
   * other, first come, first served. */
  generate(prompt: string | readonly ChatMessage[], options?: GenerateOptions): Generation;
  tokenize(text: string, options?: TokenizeOptions): Promise<number[]>;
  /** Bytes that are no UTF-8, as half a character at the end, become U+FFFD. */
  detokenize(tokenIds: readonly number[]): Promise<string>;
  /** The text that generate makes of a conversation, but for the model's begin token. */
  chatTemplate(messages: readonly ChatMessage[]): Promise<string>;
  /** Of a text, in chunks of at most 512 tokens. Generations go on meanwhile. */
  perplexity(text: string, options?: PerplexityOptions): Promise<Perplexity>;
  /** Of all generations since the model was loaded or its metrics were reset; times and counts are sums. */
  metrics(): Promise<Metrics>;
  resetMetrics(): Promise<void>;
  /** What the model has read and written last, with all it computed for that: a prompt that begins alike is
   * not computed again after loadState, in this or another page. Only while nothing is generated. */
  saveState(): Promise<ArrayBuffer>;
  /** Of the same model file with the same cache types. The bytes are copied. */
  loadState(state: ArrayBuffer): Promise<void>;
  /** Times every kernel from now on, and keeps what every thread does; costs a few percent of the speed. The first one
   * measures the machine, in a worker of its own: best while nothing is generated. One at a time. */
  profile(options?: ProfileOptions): Promise<Profile>;
  /** Ends what is running, says goodbye to the hub, and gives the memory back. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
