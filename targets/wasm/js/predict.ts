/* predict.ts: what a model would do here, before it is downloaded: its header, and two seconds of measuring in a
 * module of its own (worker side; the arithmetic is in roofline.ts).
 */
import { BitnetError } from "./errors.js";
import { ProbeKind, RateProbe, type Instance } from "./glue.js";
import { headReader, readHeader } from "./header.js";
import { availableMemory, predictionText, predictMemory, predictRates, usesStagedHead } from "./roofline.js";
import type { ProbeRates } from "./roofline.js";
import type { PredictRequest } from "./rpc.js";
import { HEAP_MAX, Session, type ModelPlan } from "./session.js";
import { startBest } from "./starting.js";
import { median } from "./threads.js";
import type { Prediction, Tier } from "./types.js";

/* The buffer stands for the weights: as large as they are, so that small models are read from a cache as they would
 * be, up to what no cache holds. */
const LEAST_BUFFER = 1 << 20;
const MOST_BUFFER = 96 << 20;
const LEAST_PIECE = 16 << 10;
const MOST_PIECE = 8 << 20;
const PRODUCTS_PER_LAYER = 7;

const SAMPLES = 5;
const HOT_MS = 20;
const SAMPLE_MS = 40; /* of four kinds five samples each: a second, and less than two where a piece takes long */
const FORK_MS = 4;

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value));

function sample(probe: RateProbe, kind: ProbeKind, piece: number, ms: number): number[] {
  probe.rate(kind, piece, HOT_MS);
  return Array.from({ length: SAMPLES }, () => probe.rate(kind, piece, ms));
}

/** Of the buffer that stands for a model. */
export function bufferSize(tokenBytes: number): number {
  return clamp(tokenBytes, LEAST_BUFFER, MOST_BUFFER);
}

/** undefined: there was no memory to measure in. */
export function withProbe<T>(instance: Instance, size: number, threads: number, use: (probe: RateProbe) => T): T | undefined {
  let probe: RateProbe | undefined;
  for (let bytes = size; !probe && bytes >= LEAST_BUFFER; bytes /= 2) probe = RateProbe.create(instance, bytes);
  if (!probe) return undefined;
  try {
    probe.setThreads(threads);
    return use(probe);
  } finally {
    probe.free();
  }
}

/** On a buffer of the model's size, in pieces of its products' size. */
function measure(instance: Instance, plan: ModelPlan, tier: Tier, threads: number): ProbeRates {
  const size = bufferSize(plan.tokenBytes);
  const product = clamp(plan.ternaryBytes / (plan.nLayer * PRODUCTS_PER_LAYER), LEAST_PIECE, MOST_PIECE);
  const headKind = usesStagedHead(plan, tier) ? ProbeKind.scan : ProbeKind.f16;
  const rates = withProbe(instance, size, threads, (probe) => ({
    read: sample(probe, ProbeKind.read, MOST_PIECE, SAMPLE_MS),
    ternary: sample(probe, ProbeKind.tern, product, SAMPLE_MS),
    head: sample(probe, headKind, MOST_PIECE, SAMPLE_MS),
    prompt: sample(probe, ProbeKind.prompt, clamp(product, LEAST_PIECE, LEAST_BUFFER), SAMPLE_MS),
    floats: sample(probe, ProbeKind.floats, 0, FORK_MS),
    fork: sample(probe, ProbeKind.fork, 0, FORK_MS).map((rate) => 1 / rate),
  }));
  if (!rates) throw new BitnetError("session.memory", "The browser gives no memory to measure in.");
  return rates;
}

export async function predict(request: PredictRequest): Promise<Prediction> {
  const { instance, tier, pickThreads } = await startBest(request);
  const session = new Session(instance);
  const parse = (head: { bytes: Uint8Array; fileSize: number }): ModelPlan | number =>
    session.plan(head.bytes, head.fileSize, request.how);
  const plan = await readHeader(headReader(request.source), parse);
  session.free();
  const threads = pickThreads();
  const begin = performance.now();
  const rates = measure(instance, plan, tier.value, threads.value);
  const seconds = (performance.now() - begin) / 1000;
  const device = globalThis.navigator as (Navigator & { deviceMemory?: number }) | undefined;
  const { tokensPerSecond, promptTokensPerSecond } = predictRates(plan, rates, tier.value, threads.value);
  const { memory, ...model } = plan;
  return {
    model,
    memory: predictMemory(memory.total, availableMemory(device?.deviceMemory, HEAP_MAX), HEAP_MAX),
    tokensPerSecond,
    promptTokensPerSecond,
    text: predictionText(tokensPerSecond),
    threads: threads.value,
    threadsReason: threads.reason,
    tier: tier.value,
    tierReason: tier.reason,
    probe: {
      bytesPerSecond: median(rates.read),
      ternaryBytesPerSecond: median(rates.ternary),
      headBytesPerSecond: median(rates.head),
      promptMacsPerSecond: median(rates.prompt),
      floatsPerSecond: median(rates.floats),
      forkSeconds: median(rates.fork),
      seconds,
    },
  };
}
