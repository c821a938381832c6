/* worker.ts: owns a module and a session, and runs it. One model per worker.
 *
 * Requests, each with an id (types in rpc.ts), and what they answer before "done" or "error":
 *   load      chooses and starts a module, streams the file into its heap, loads it      progress…
 *   generate  queues a request; several run one after the other, oldest first            prompt, tokens…
 *   tokenize  text -> ids
 *   abort     target = the id of a load (it fails with code "aborted") or of a generate (it ends as cancelled)
 *   dispose   frees everything, says goodbye to the hub, closes the worker
 * Unasked, with id 0: "track", when the connection to the hub changes.
 *
 * Computing is a loop over step, in slices of a few milliseconds; between slices the worker goes back to its
 * event loop, where aborts, new requests and the websocket get their turn. The tokens of a slice are one message.
 */
import { download } from "./download.js";
import { BitnetError, errorData } from "./errors.js";
import { chooseThreads, chooseTier, isSupported, selfTest, type Choice } from "./features.js";
import { startModule, type Instance } from "./glue.js";
import type { GenerateRequest, LoadRequest, Notice, Reply, Request } from "./rpc.js";
import { Session } from "./session.js";
import type { GeneratedToken, ModelInfo, Tier, TrackState } from "./types.js";

const SLICE_MS = 8;
const PUMP_MS = 100;
const GOODBYE_MS = 150; /* for the last messages to leave before the worker, and its sockets, end */

interface Running {
  id: number;
  tokens: GeneratedToken[];
}

let session: Session | undefined;
let loading: { id: number; controller: AbortController } | undefined;
const running = new Map<number, Running>(); /* by the engine's request id */
let isComputing = false;
let pumpedAt = 0;
let pumpTimer: ReturnType<typeof setInterval> | undefined;
let trackState: TrackState | undefined;

function post(message: Reply | Notice): void {
  self.postMessage(message);
}

function postError(id: number, error: unknown): void {
  post({ id, type: "error", error: errorData(error) });
}

function theSession(): Session {
  if (!session) throw new BitnetError("model.disposed", "There is no model in this worker.");
  return session;
}

/* ---- load ---- */

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

async function load(id: number, request: LoadRequest, signal: AbortSignal): Promise<ModelInfo> {
  const tier = await pickTier(request.tier);
  signal.throwIfAborted();
  const { instance, threads } = await startBest(tier.value, chooseThreads(request.threads), request.baseUrl);
  const loaded = new Session(instance);
  try {
    let size = 0;
    await download(request.source, loaded, signal, (bytes, total) => {
      size = bytes;
      post({ id, type: "progress", progress: { phase: "download", loaded: bytes, total } });
    });
    post({ id, type: "progress", progress: { phase: "prepare", loaded: size, total: size } });
    loaded.load(threads.value, request.nCtx);
    if (request.track) {
      const instanceId = crypto.getRandomValues(new BigUint64Array(1))[0]! || 1n;
      loaded.trackOpen(request.track.url, request.track.name, instanceId);
    }
  } catch (error) {
    loaded.free();
    throw error;
  }
  session = loaded;
  pumpTimer = setInterval(pump, PUMP_MS);
  const info = loaded.info();
  return { ...info, tierReason: tier.reason, threadsReason: threadsReason(threads, info.threads) };
}

async function handleLoad(id: number, request: LoadRequest): Promise<void> {
  if (loading || session) throw new BitnetError("options", "A worker loads one model.");
  const controller = new AbortController();
  loading = { id, controller };
  try {
    post({ id, type: "done", value: await load(id, request, controller.signal) });
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
    if (error instanceof WebAssembly.RuntimeError) return abandon(error);
    session.trackClose();
    postTrackState({ state: "refused", closeCode: 0 });
    return;
  }
  const state = session.trackState();
  if (state) postTrackState(state);
}

/* ---- generate ---- */

const breath = new MessageChannel();

/** Lets every message that has arrived be handled; a timer would cost 4 ms. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    breath.port1.onmessage = () => resolve();
    breath.port2.postMessage(0);
  });
}

function sendTokens({ id, tokens }: Running): void {
  if (tokens.length > 0) post({ id, type: "tokens", tokens: tokens.splice(0) });
}

function handleEvents(s: Session): void {
  for (let event = s.poll(); event; event = s.poll()) {
    const job = running.get(event.request);
    if (!job) continue;
    if (event.kind === "prompt") {
      post({ id: job.id, type: "prompt", tokenIds: event.tokenIds });
    } else if (event.kind === "token") {
      job.tokens.push({ token: event.token, text: event.text });
    } else {
      sendTokens(job);
      running.delete(event.request);
      if (event.kind === "error") postError(job.id, event.error);
      else post({ id: job.id, type: "done", value: event });
    }
  }
}

/** After a trap the module's memory can be in any state: nothing may run in it again. */
function abandon(error: unknown): void {
  for (const { id } of running.values()) postError(id, error);
  running.clear();
  clearInterval(pumpTimer);
  session = undefined;
}

async function compute(): Promise<void> {
  if (isComputing) return;
  isComputing = true;
  try {
    while (session && running.size > 0) {
      const end = performance.now() + SLICE_MS;
      do {
        session.step();
        handleEvents(session);
      } while (running.size > 0 && performance.now() < end);
      for (const job of running.values()) sendTokens(job);
      if (performance.now() - pumpedAt >= PUMP_MS) pump();
      await breathe();
    }
  } catch (error) {
    abandon(error);
  } finally {
    isComputing = false;
  }
}

function generate(id: number, { prompt, maxTokens, sampler, seed }: GenerateRequest): void {
  running.set(theSession().submit(prompt, maxTokens, sampler, seed), { id, tokens: [] });
  void compute();
}

/* ---- the rest ---- */

function abort(target: number): void {
  if (loading?.id === target) loading.controller.abort();
  for (const [request, job] of running) if (job.id === target) session?.cancel(request);
}

async function dispose(): Promise<void> {
  loading?.controller.abort();
  clearInterval(pumpTimer);
  const ended = session;
  session = undefined;
  const disposed = new BitnetError("model.disposed", "The model was disposed of.");
  for (const { id } of running.values()) postError(id, disposed);
  running.clear();
  const isTracked = ended?.trackState()?.state === "open";
  ended?.free();
  if (isTracked) await new Promise((resolve) => setTimeout(resolve, GOODBYE_MS));
}

async function handle(id: number, request: Request): Promise<void> {
  switch (request.op) {
    case "load":
      return handleLoad(id, request);
    case "generate":
      return generate(id, request);
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
  handle(data.id, data).catch((error: unknown) => postError(data.id, error));
};
