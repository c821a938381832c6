/* rpc.ts: the messages between a page and its worker, and the page's end of the wire.
 *
 * Every request has an id of the page's choosing. Replies carry it: any number of "progress", "prompt" and
 * "tokens", then one "done" or one "error". worker.ts says what each request does.
 */
import type { RawSource } from "./download.js";
import { BitnetError, errorFrom, type ErrorData } from "./errors.js";
import type { HeadSource } from "./header.js";
import type { LoadHow } from "./session.js";
import type { FinishReason, GeneratedToken, LoadProgress, ModelInfo, Prediction } from "./types.js";
import type { Tier, Timings, TrackState } from "./types.js";

export interface LoadRequest {
  op: "load";
  source: RawSource;
  cache: "auto" | "off";
  sha256: string | undefined;
  threads: number | undefined;
  tier: Tier | undefined;
  how: LoadHow;
  baseUrl: string | undefined;
  track: { url: string; name: string } | undefined;
}

export interface GenerateRequest {
  op: "generate";
  prompt: string;
  maxTokens: number;
  sampler: { temp?: number; topK?: number; topP?: number; minP?: number };
  seed: bigint;
}

export interface PredictRequest extends Pick<LoadRequest, "threads" | "tier" | "how" | "baseUrl"> {
  op: "predict";
  source: HeadSource;
}

export type Request =
  | LoadRequest
  | PredictRequest
  | GenerateRequest
  | { op: "tokenize"; text: string; bos: boolean; special: boolean }
  | { op: "abort"; target: number }
  | { op: "dispose" };

export interface GenerateEnd {
  text: string;
  finishReason: FinishReason;
  timings: Timings;
}

/** What "done" carries, by request. */
export interface Results {
  load: ModelInfo;
  predict: Prediction;
  generate: GenerateEnd;
  tokenize: number[];
  abort: undefined;
  dispose: undefined;
}

export type Reply =
  | { id: number; type: "progress"; progress: LoadProgress }
  | { id: number; type: "prompt"; tokenIds: number[] }
  | { id: number; type: "tokens"; tokens: GeneratedToken[] }
  | { id: number; type: "done"; value: Results[keyof Results] }
  | { id: number; type: "error"; error: ErrorData };
export type Notice = { id: 0; type: "track"; track: TrackState };

type EventReply = Exclude<Reply, { type: "done" | "error" }>;

interface Pending {
  onEvent: (reply: EventReply) => void;
  resolve: (value: never) => void;
  reject: (error: BitnetError) => void;
}

export class WorkerClient {
  private readonly pending = new Map<number, Pending>();
  private lastId = 0;
  private dead: BitnetError | undefined;

  constructor(
    private readonly worker: Worker,
    private readonly onTrack: (state: TrackState) => void,
  ) {
    worker.onmessage = ({ data }: MessageEvent<Reply | Notice>) => this.receive(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const what = event.message ? `failed: ${event.message}` : "could not be started (is worker.js there?)";
      this.fail(new BitnetError("worker.failed", `The worker ${what}.`));
    };
    worker.onmessageerror = () => this.fail(new BitnetError("worker.failed", "A message to the worker was lost."));
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
      this.pending.set(id, { onEvent, resolve, reject });
      this.worker.postMessage({ id, ...request }, transfer);
    });
    return { id, done };
  }

  /** Ends the worker; what is still pending rejects. */
  terminate(error: BitnetError): void {
    this.worker.terminate();
    this.fail(error);
  }

  private receive(reply: Reply | Notice): void {
    if (reply.type === "track") return this.onTrack(reply.track);
    const pending = this.pending.get(reply.id);
    if (!pending) return;
    if (reply.type !== "done" && reply.type !== "error") return pending.onEvent(reply);
    this.pending.delete(reply.id);
    if (reply.type === "done") pending.resolve(reply.value as never);
    else pending.reject(errorFrom(reply.error));
  }

  private fail(error: BitnetError): void {
    this.dead ??= error;
    for (const { reject } of this.pending.values()) reject(this.dead);
    this.pending.clear();
  }
}
