/* worker.ts: owns a session and answers requests about it. One model per worker.
 *
 * Requests, each with an id (types in rpc.ts), and what they answer before "done" or "error":
 *   load          from a source to a session (loading.ts)                                     progress…
 *   generate      queues a request; several run one after the other, oldest first (running.ts)  prompt, tokens…
 *   perplexity    queues a text; computed between the steps of the others                      score…
 *   tokenize, detokenize, chatTemplate   text <-> ids, a conversation as text
 *   metrics, resetMetrics                what was measured of all generations
 *   saveState, loadState                 the KV cache as bytes, while nothing is generated
 *   predict       what a model would do here (predict.ts)
 *   jsHeap        what the page measured of its own heap, for the report (heap.ts)
 *   measure       what the machine can do (bounds.ts)
 *   profile, profileReport, profileTrace, profileStop   what kernels take and threads do (profiler.ts, trace.ts)
 *   clock         what time it is here
 *   abort         target = the id of a perplexity (it fails with code "aborted") or of a generate (it ends as
 *                 cancelled)
 *   dispose       frees everything, says goodbye to the hub
 * To abort a load or a predict the page ends the worker.
 * Unasked, with id 0: "track", when the connection to the hub changes; "report", a message for the page instead.
 */
import { measure } from "./bounds.js";
import type { RawSource } from "./download.js";
import { BitnetError, errorData } from "./errors.js";
import { listenInWorker, openLocal } from "./host.js";
import { loadSession } from "./loading.js";
import { predict } from "./predict.js";
import { noProfile, Profiler } from "./profiler.js";
import type {
  GenerateRequest,
  LoadRequest,
  Notice,
  PerplexityRequest,
  Reply,
  Request,
  Results,
} from "./rpc.js";
import { Runner } from "./running.js";
import { WarmTest } from "./selftest.js";
import type { Session } from "./session.js";
import { makeTrace } from "./trace.js";
import type { ModelInfo, TrackState } from "./types.js";

const PUMP_MS = 100;
const GOODBYE_MS = 150; /* for the last messages to leave before the worker, and its sockets, end */

let session: Session | undefined;
let runner: Runner | undefined;
let isTaken = false; /* a load has begun */
let failure: unknown = new BitnetError("model.disposed", "There is no model in this worker."); /* why no session is */
let pumpedAt = 0;
let pumpTimer: ReturnType<typeof setInterval> | undefined;
let trackState: TrackState | undefined;
let modelInfo: ModelInfo | undefined;
let profiler: Profiler | undefined;

function post(message: Reply | Notice, transfer: Transferable[] = []): void {
  const begin = performance.now();
  send(message, transfer);
  profiler?.onReply(message, begin);
}

function theSession(): Session {
  if (!session) throw failure;
  return session;
}

/** What is running ends with the error, and so does what is asked from now on. */
function forget(error: unknown): void {
  clearInterval(pumpTimer);
  runner?.end(error);
  session = undefined;
  runner = undefined;
  profiler = undefined;
  failure = error;
}

/** After a trap the module's memory can be in any state: nothing may run in it again. */
function forgetAfterTrap(error: unknown): void {
  if (error instanceof WebAssembly.RuntimeError) forget(error);
}

/* ---- load ---- */

async function local<S>(source: S): Promise<S | Blob> {
  return (typeof source === "string" && (await openLocal(source))) || source;
}

function localSource(source: RawSource): Promise<RawSource> {
  return Array.isArray(source) ? Promise.all((source as readonly (string | Blob)[]).map(local)) : local(source);
}

async function load(id: number, request: LoadRequest): Promise<void> {
  if (isTaken) throw new BitnetError("options", "A worker loads one model.");
  isTaken = true;
  const source = await localSource(request.source);
  const { instance, info, ...loaded } = await loadSession({ ...request, source }, (progress) =>
    post({ id, type: "progress", progress }),
  );
  session = loaded.session;
  modelInfo = info;
  const warmTest = new WarmTest(instance);
  const afterSlice = (): void => {
    pumpIfDue();
    profiler?.collect();
    warmTest.afterSlice();
  };
  runner = new Runner(session, post, afterSlice, forget);
  pumpTimer = setInterval(pump, PUMP_MS);
  post({ id, type: "done", value: info });
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
    forgetAfterTrap(error);
    if (!session) return;
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
  const begin = performance.now();
  const accepted = theSession().submit(request); /* throws where there is no session, and so no runner */
  profiler?.mark("receive generate", begin);
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

function profile({ bounds, maxEvents }: Extract<Request, { op: "profile" }>): void {
  const on = theSession();
  const { contextSize, nCtx } = modelInfo!;
  profiler = new Profiler(on, bounds, maxEvents, contextSize / nCtx);
}

function profileTrace({ page, clock }: Extract<Request, { op: "profileTrace" }>): Blob {
  if (!profiler) return noProfile();
  profiler.collect();
  return makeTrace(profiler, modelInfo!, page, clock);
}

function profileStop(): void {
  profiler?.close();
  profiler = undefined;
}

async function dispose(): Promise<void> {
  const ended = session;
  forget(new BitnetError("model.disposed", "The model was disposed of."));
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
      return done(await predict({ ...request, source: await local(request.source) }));
    case "clock":
      return send({ id, type: "done", value: { now: performance.now(), origin: performance.timeOrigin } }, []);
    case "measure":
      return done(await measure(request));
    case "profile":
      return done(profile(request));
    case "profileReport":
      return done(profiler ? profiler.report() : noProfile());
    case "profileTrace":
      return done(profileTrace(request));
    case "profileStop":
      return done(profileStop());
    case "perplexity":
      return perplexity(id, request);
    case "tokenize":
      return done(theSession().tokenize(request.text, request.bos, request.special));
    case "detokenize":
      return done(theSession().detokenize(request.tokenIds));
    case "chatTemplate":
      return done(theSession().chatText(request.messages));
    case "metrics":
      return done(theSession().metrics());
    case "resetMetrics":
      return done(theSession().resetMetrics());
    case "saveState":
      return saveState(id);
    case "loadState":
      return done(theSession().restore(request.state));
    case "jsHeap":
      return done(theSession().jsHeap(request.bytes));
    case "abort":
      return done(runner?.cancel(request.target));
    case "dispose":
      return done(await dispose());
  }
}

const send = listenInWorker((data) => {
  const { id, ...request } = data as Request & { id: number };
  handle(id, request).catch((error: unknown) => {
    forgetAfterTrap(error);
    post({ id, type: "error", error: errorData(error) });
  });
});
