/* rpc.ts: the messages between a page and its worker, and the page's end of the wire.
 *
 * Every request has an id of the page's choosing. Replies carry it: any number of "progress", "prompt" and
 * "tokens", then one "done" or one "error". worker.ts says what each request does.
 *
 * What computes for long is stopped by "abort", and, where page and worker may share memory, by a flag as well:
 * the worker sees that between two steps, without going back to its event loop.
 */
import type { RawSource } from "./download.js";
import { BitnetError, errorFrom, type ErrorData } from "./errors.js";
import type { HeadSource } from "./header.js";
import type { WorkerPort } from "./host.js";
import type { LoadHow, SessionEnd, SessionRequest } from "./session.js";
import type {
  CacheMode,
  ChatMessage,
  GeneratedToken,
  LoadProgress,
  MachineBounds,
  Metrics,
  ModelInfo,
  Perplexity,
  PerplexityProgress,
  Prediction,
  ProfileReport,
  Tier,
  TrackState,
} from "./types.js";

/** One word, 0 until it is to stop; undefined where no memory can be shared. */
export type StopFlag = Int32Array | undefined;

export function makeStopFlag(): StopFlag {
  const canShare = typeof SharedArrayBuffer !== "undefined" && globalThis.crossOriginIsolated !== false;
  return canShare ? new Int32Array(new SharedArrayBuffer(4)) : undefined;
}

export interface LoadRequest {
  op: "load";
  source: RawSource;
  cache: CacheMode;
  sha256: string | undefined;
  threads: number | undefined;
  tier: Tier | undefined;
  how: LoadHow;
  baseUrl: string | undefined;
  /** Without a url: to the page, as "report". */
  track: { url: string | undefined; name: string } | undefined;
}

export interface GenerateRequest extends SessionRequest {
  op: "generate";
  flag: StopFlag;
}

export interface PerplexityRequest {
  op: "perplexity";
  text: string;
  flag: StopFlag;
}

export interface PredictRequest extends Pick<LoadRequest, "threads" | "tier" | "how" | "baseUrl"> {
  op: "predict";
  source: HeadSource;
}

export type { MachineBounds };
export interface MeasureRequest extends Pick<LoadRequest, "threads" | "tier" | "baseUrl"> {
  tokenBytes: number;
}

/** What a page did, in milliseconds of its performance.now(); with an id: what it waited for meanwhile. */
export interface PageEvent {
  id?: number;
  name: string;
  begin: number;
  end: number;
  args: Record<string, unknown>;
}

/** What to add to the page's performance.now() to have the worker's, and by how much that may be wrong. */
export interface PageClock {
  offset: number;
  error: number;
  by: string;
}

export type Request =
  | LoadRequest
  | PredictRequest
  | GenerateRequest
  | PerplexityRequest
  | { op: "tokenize"; text: string; bos: boolean; special: boolean }
  | { op: "detokenize"; tokenIds: readonly number[] }
  | { op: "chatTemplate"; messages: readonly ChatMessage[] }
  | { op: "metrics" }
  | { op: "resetMetrics" }
  | { op: "saveState" }
  | { op: "loadState"; state: ArrayBuffer }
  | { op: "jsHeap"; bytes: number }
  | { op: "clock" }
  | ({ op: "measure" } & MeasureRequest)
  | { op: "profile"; bounds: MachineBounds; maxEvents: number }
  | { op: "profileReport" }
  | { op: "profileTrace"; page: readonly PageEvent[]; clock: PageClock }
  | { op: "profileStop" }
  | { op: "abort"; target: number }
  | { op: "dispose" };

export interface GenerateEnd extends SessionEnd {
  text: string;
}

/** What "done" carries, by request. */
export interface Results {
  load: ModelInfo;
  predict: Prediction;
  generate: GenerateEnd;
  perplexity: Perplexity;
  tokenize: number[];
  detokenize: string;
  chatTemplate: string;
  metrics: Metrics;
  resetMetrics: undefined;
  saveState: ArrayBuffer;
  loadState: undefined;
  jsHeap: undefined;
  clock: { now: number; origin: number };
  measure: MachineBounds;
  profile: undefined;
  profileReport: ProfileReport;
  profileTrace: Blob;
  profileStop: undefined;
  abort: undefined;
  dispose: undefined;
}

export type Reply =
  | { id: number; type: "progress"; progress: LoadProgress }
  | { id: number; type: "prompt"; tokenIds: number[] }
  | { id: number; type: "tokens"; tokens: GeneratedToken[] }
  | { id: number; type: "score"; score: PerplexityProgress }
  | { id: number; type: "done"; value: Results[keyof Results] }
  | { id: number; type: "error"; error: ErrorData };
export type Notice = { id: 0; type: "track"; track: TrackState } | { id: 0; type: "report"; message: string };

type EventReply = Exclude<Reply, { type: "done" | "error" }>;

interface Pending {
  op: string;
  begin: number;
  onEvent: (reply: EventReply) => void;
  resolve: (value: never) => void;
  reject: (error: BitnetError) => void;
}

export class WorkerClient {
  /** Told what the page does for requests, while somebody wants to know. */
  observer: ((event: PageEvent) => void) | undefined;
  private readonly pending = new Map<number, Pending>();
  private lastId = 0;
  private dead: BitnetError | undefined;

  constructor(
    private readonly worker: WorkerPort,
    private readonly onNotice: (notice: Notice) => void,
  ) {
    const onFailure = (what: string): void => this.fail(new BitnetError("worker.failed", what));
    worker.listen((message) => this.observe(message as Reply | Notice), onFailure);
  }

  /** The id is for abort. */
  call<R extends Request>(
    request: R,
    onEvent: (reply: EventReply) => void = () => undefined,
    transfer: Transferable[] = [],
  ): { id: number; done: Promise<Results[R["op"]]> } {
    const id = ++this.lastId;
    const done = new Promise<Results[R["op"]]>((resolve, reject) => {
      if (this.dead) return reject(this.dead);
      const begin = performance.now();
      this.worker.post({ id, ...request }, transfer); /* throws for what cannot be cloned, which nobody will answer */
      this.pending.set(id, { op: request.op, begin, onEvent, resolve, reject });
      this.worker.keepAlive(true);
      this.observer?.({ name: `request ${request.op}`, begin, end: performance.now(), args: {} });
    });
    return { id, done };
  }

  /** Ends the worker; what is still pending rejects. */
  terminate(error: BitnetError): void {
    this.worker.terminate();
    this.fail(error);
  }

  /** The last request was answered. */
  end(): void {
    this.terminate(new BitnetError("aborted", "The worker was ended."));
  }

  private observe(reply: Reply | Notice): void {
    if (!this.observer) return this.receive(reply);
    const begin = performance.now();
    this.receive(reply);
    const args = reply.type === "tokens" ? { tokens: reply.tokens.length } : {};
    this.observer({ name: `receive ${reply.type}`, begin, end: performance.now(), args });
  }

  private receive(reply: Reply | Notice): void {
    if (reply.type === "track" || reply.type === "report") return this.onNotice(reply);
    const pending = this.pending.get(reply.id);
    if (!pending) return;
    if (reply.type !== "done" && reply.type !== "error") return pending.onEvent(reply);
    this.pending.delete(reply.id);
    const { op: name, begin } = pending;
    this.observer?.({ id: reply.id, name, begin, end: performance.now(), args: {} });
    if (this.pending.size === 0) this.worker.keepAlive(false);
    if (reply.type === "done") pending.resolve(reply.value as never);
    else pending.reject(errorFrom(reply.error));
  }

  private fail(error: BitnetError): void {
    this.dead ??= error;
    for (const { reject } of this.pending.values()) reject(this.dead);
    this.pending.clear();
  }
}
