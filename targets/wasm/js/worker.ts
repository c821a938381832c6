/* worker.ts: owns a session and answers requests about it. One model per worker.
 *
 * Requests, each with an id (types in rpc.ts), and what they answer before "done" or "error":
 *   load          from a source to a session (loading.ts)                                     progress…
 *   generate      queues a request; several run one after the other, oldest first (running.ts)  prompt, tokens…
 *   perplexity    queues a text; computed between the steps of the others                      score…
 *   tokenize, detokenize, chatTemplate   text <-> ids, a conversation as text
 *   saveState, loadState                 the KV cache as bytes, while nothing is generated
 *   predict       what a model would do here (predict.ts); the page ends the worker to abort it
 *   abort         target = the id of a load or a perplexity (it fails with code "aborted") or of a generate (it
 *                 ends as cancelled)
 *   dispose       frees everything, says goodbye to the hub
 * Unasked, with id 0: "track", when the connection to the hub changes; "report", a message for the page instead.
 */
import type { RawSource } from "./download.js";
import { BitnetError, errorData } from "./errors.js";
import { IS_NODE, listenInWorker, openLocal } from "./host.js";
import { loadSession } from "./loading.js";
import { predict } from "./predict.js";
import type {
  GenerateRequest,
  LoadRequest,
  Notice,
  PerplexityRequest,
  PredictRequest,
  Reply,
  Request,
  Results,
} from "./rpc.js";
import { Runner } from "./running.js";
import { WarmTest } from "./selftest.js";
import type { Session } from "./session.js";
import type { ModelInfo, TrackState } from "./types.js";

const PUMP_MS = 100;
const NODE_REASON = "Under Node.js the package runs its SIMD128 module on one thread.";
const GOODBYE_MS = 150; /* for the last messages to leave before the worker, and its sockets, end */

let session: Session | undefined;
let runner: Runner | undefined;
let loading: { id: number; controller: AbortController } | undefined;
let pumpedAt = 0;
let pumpTimer: ReturnType<typeof setInterval> | undefined;
let trackState: TrackState | undefined;
let failure: unknown; /* of the warm test: the reason why there is no session any more */

function post(message: Reply | Notice, transfer: Transferable[] = []): void {
  send(message, transfer);
}

function theSession(): Session {
  if (!session) throw failure ?? new BitnetError("model.disposed", "There is no model in this worker.");
  return session;
}

/** After a trap the module's memory can be in any state: nothing may run in it again. */
function forget(): void {
  clearInterval(pumpTimer);
  session = undefined;
  runner = undefined;
}

/* ---- load ---- */

async function forHost<R extends LoadRequest | PredictRequest>(request: R): Promise<R> {
  if (!IS_NODE) return request;
  return { ...request, source: await localSource(request.source), tier: request.tier ?? "simd128", threads: 1 };
}

async function localSource(source: RawSource): Promise<RawSource> {
  const local = async <S>(one: S): Promise<S | Blob> => (typeof one === "string" && (await openLocal(one))) || one;
  return Array.isArray(source) ? Promise.all((source as readonly (string | Blob)[]).map(local)) : local(source);
}

function infoForHost(info: ModelInfo): ModelInfo {
  return IS_NODE ? { ...info, tierReason: NODE_REASON, threadsReason: NODE_REASON } : info;
}

async function load(id: number, request: LoadRequest): Promise<void> {
  if (loading || session) throw new BitnetError("options", "A worker loads one model.");
  const controller = new AbortController();
  loading = { id, controller };
  try {
    const loaded = await loadSession(await forHost(request), controller.signal, (progress) =>
      post({ id, type: "progress", progress }),
    );
    session = loaded.session;
    const warmTest = new WarmTest(loaded.instance);
    const afterSlice = (): void => {
      pumpIfDue();
      try {
        warmTest.afterSlice();
      } catch (error) {
        failure = error; /* the answer may have ended in this slice: the next one says it */
        throw error;
      }
    };
    runner = new Runner(session, post, afterSlice, forget);
    pumpTimer = setInterval(pump, PUMP_MS);
    post({ id, type: "done", value: infoForHost(loaded.info) });
  } finally {
    loading = undefined;
  }
}

/* ---- tracker ---- */

function postTrackState(state: TrackState): void {
  const isSame = state.state === trackState?.state && state.closeCode === trackState.closeCode;
  if (!isSame) post({ id: 0, type: "track", track: state });
  trackState = state;
}

function postReports(from: Session): void {
  for (let message = from.trackTake(); message !== undefined; message = from.trackTake()) {
    post({ id: 0, type: "report", message });
  }
}

function pump(): void {
  if (!session) return;
  pumpedAt = performance.now();
  try {
    session.pump();
    postReports(session);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      runner?.end(error);
      return forget();
    }
    session.trackClose();
    postTrackState({ state: "refused", closeCode: 0 });
    return;
  }
  const state = session.trackState();
  if (state) postTrackState(state);
}

function pumpIfDue(): void {
  if (performance.now() - pumpedAt >= PUMP_MS) pump();
}

/* ---- the rest ---- */

function generate(id: number, request: GenerateRequest): void {
  const accepted = theSession().submit(request); /* throws where there is no session, and so no runner */
  runner?.add(accepted, id, request.flag);
}

function perplexity(id: number, { text, flag }: PerplexityRequest): void {
  theSession();
  runner?.addScore(id, text, flag);
}

function saveState(id: number): void {
  const state = theSession().save();
  post({ id, type: "done", value: state }, [state]);
}

function abort(target: number): void {
  if (loading?.id === target) loading.controller.abort();
  runner?.cancel(target);
}

async function dispose(): Promise<void> {
  loading?.controller.abort();
  const ended = session;
  runner?.end(new BitnetError("model.disposed", "The model was disposed of."));
  forget();
  const isTracked = ended?.trackState()?.state === "open";
  ended?.trackClose();
  if (ended) postReports(ended);
  ended?.free();
  if (isTracked) await new Promise((resolve) => setTimeout(resolve, GOODBYE_MS));
}

async function handle(id: number, request: Request): Promise<void> {
  const done = (value: Results[keyof Results] | void): void => post({ id, type: "done", value: value ?? undefined });
  switch (request.op) {
    case "load":
      return load(id, request);
    case "generate":
      return generate(id, request);
    case "predict":
      return done(await predict(await forHost(request)));
    case "perplexity":
      return perplexity(id, request);
    case "tokenize":
      return done(theSession().tokenize(request.text, request.bos, request.special));
    case "detokenize":
      return done(theSession().detokenize(request.tokenIds));
    case "chatTemplate":
      return done(theSession().chatText(request.messages));
    case "saveState":
      return saveState(id);
    case "loadState":
      return done(theSession().restore(request.state));
    case "abort":
      return done(abort(request.target));
    case "dispose":
      return done(await dispose());
  }
}

const send = listenInWorker((data) => {
  const { id, ...request } = data as Request & { id: number };
  handle(id, request).catch((error: unknown) => post({ id, type: "error", error: errorData(error) }));
});
