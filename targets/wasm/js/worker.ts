/* worker.ts: owns a session and answers requests about it. One model per worker.
 *
 * Requests, each with an id (types in rpc.ts), and what they answer before "done" or "error":
 *   load      from a source to a session (loading.ts)                                    progress…
 *   generate  queues a request; several run one after the other, oldest first (running.ts)  prompt, tokens…
 *   tokenize  text -> ids
 *   predict   what a model would do here (predict.ts); the page ends the worker to abort it
 *   abort     target = the id of a load (it fails with code "aborted") or of a generate (it ends as cancelled)
 *   dispose   frees everything, says goodbye to the hub, closes the worker
 * Unasked, with id 0: "track", when the connection to the hub changes.
 */
import { BitnetError, errorData } from "./errors.js";
import { loadSession } from "./loading.js";
import { predict } from "./predict.js";
import type { GenerateRequest, LoadRequest, Notice, Reply, Request } from "./rpc.js";
import { Runner } from "./running.js";
import { WarmTest } from "./selftest.js";
import type { Session } from "./session.js";
import type { TrackState } from "./types.js";

const PUMP_MS = 100;
const GOODBYE_MS = 150; /* for the last messages to leave before the worker, and its sockets, end */

let session: Session | undefined;
let runner: Runner | undefined;
let loading: { id: number; controller: AbortController } | undefined;
let pumpedAt = 0;
let pumpTimer: ReturnType<typeof setInterval> | undefined;
let trackState: TrackState | undefined;
let failure: unknown; /* of the warm test: the reason why there is no session any more */

function post(message: Reply | Notice): void {
  self.postMessage(message);
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

async function load(id: number, request: LoadRequest): Promise<void> {
  if (loading || session) throw new BitnetError("options", "A worker loads one model.");
  const controller = new AbortController();
  loading = { id, controller };
  try {
    const loaded = await loadSession(request, controller.signal, (progress) => {
      post({ id, type: "progress", progress });
    });
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
    post({ id, type: "done", value: loaded.info });
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

function pump(): void {
  if (!session) return;
  pumpedAt = performance.now();
  try {
    session.pump();
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

function generate(id: number, { prompt, maxTokens, sampler, seed }: GenerateRequest): void {
  const request = theSession().submit(prompt, maxTokens, sampler, seed);
  runner?.add(request, id);
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
  ended?.free();
  if (isTracked) await new Promise((resolve) => setTimeout(resolve, GOODBYE_MS));
}

async function handle(id: number, request: Request): Promise<void> {
  switch (request.op) {
    case "load":
      return load(id, request);
    case "generate":
      return generate(id, request);
    case "predict":
      return post({ id, type: "done", value: await predict(request, new AbortController().signal) });
    case "tokenize":
      return post({ id, type: "done", value: theSession().tokenize(request.text, request.bos, request.special) });
    case "abort":
      abort(request.target);
      return post({ id, type: "done", value: undefined });
    case "dispose":
      await dispose();
      return post({ id, type: "done", value: undefined });
  }
}

self.onmessage = ({ data }: MessageEvent<Request & { id: number }>) => {
  handle(data.id, data).catch((error: unknown) => post({ id: data.id, type: "error", error: errorData(error) }));
};
