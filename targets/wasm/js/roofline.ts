/* roofline.ts: from what a model is and what this machine measures to tokens a second, with a range. Pure arithmetic.
 *
 * Decoding one token reads every weight once, so its time is the sum over parts of bytes / rate: ternary weights,
 * the head, and of each layer what is neither. A prompt's tokens share the reading and wait for multiply-adds. The
 * range is the spread of the measured rates, widened by what the model leaves out: a longer context, other tabs, a
 * core that slows down when it gets warm.
 */
import type { ModelPlan } from "./session.js";
import { median } from "./threads.js";
import type { PredictedRate, Prediction, Tier } from "./types.js";

/** Of each kind, some measurements one after another. Bytes a second, multiply-adds a second, seconds. */
export interface ProbeRates {
  read: number[];
  ternary: number[];
  head: number[];
  prompt: number[];
  /** Floats a second of one thread. */
  floats: number[];
  fork: number[];
}

/* How far a right model of the machine was seen to be off (bench/browser/predict.mjs), to each side. */
const MODEL_ERROR = 1.35;
const PROMPT_ERROR = 1.7; /* its attention grows with its length, and small models wait for more than products */

const STAGED_SHARE = 6.5 / 16; /* 6 bits of 16 of all rows, and some of their 2 bits more (core/backend/cpu_head.c) */
const STAGED_LEAST = 32 << 20; /* bytes of the whole head below which it is not staged */

/* What a layer does beside its products, in passes over n_embd floats: norms, quantising, rotation, gate, attention
 * over a hundred positions. Found with models of n_embd 256 to 2560. The products are five runs of the pool, of which
 * their rates know; the rest are as many. */
const LAYER_PASSES = 60;
const LAYER_FORKS = 5;
const TOKEN_SECONDS = 20e-6; /* drawing it and telling the page */
const WEIGHTS_PER_BYTE = 4;

export function usesStagedHead(plan: ModelPlan, tier: Tier): boolean {
  return plan.isStaged && tier !== "c" && plan.headBytes >= STAGED_LEAST;
}


function range(expectedSeconds: number, spread: number, error: number): PredictedRate {
  const expected = 1 / expectedSeconds;
  const factor = error * (1 + spread);
  return { low: expected / factor, expected, high: expected * factor };
}

/** Half the distance from the least to the most, as a share of the middle. */
export function spreadOf(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / 2 / median(values);
}

export function predictRates(
  plan: ModelPlan,
  rates: ProbeRates,
  tier: Tier,
  threads: number,
): Pick<Prediction, "tokensPerSecond" | "promptTokensPerSecond"> {
  const headBytes = plan.headBytes * (usesStagedHead(plan, tier) ? STAGED_SHARE : 1);
  const otherBytes = Math.max(0, plan.tokenBytes - plan.ternaryBytes - plan.headBytes);
  const [read, ternary, head] = [median(rates.read), median(rates.ternary), median(rates.head)];
  const passes = (plan.nLayer * LAYER_PASSES * plan.nEmbd) / median(rates.floats);
  const forks = plan.nLayer * LAYER_FORKS * median(rates.fork);
  const token = plan.ternaryBytes / ternary + headBytes / head + otherBytes / read + passes + forks + TOKEN_SECONDS;
  const weights = plan.ternaryBytes * WEIGHTS_PER_BYTE;
  const promptToken = weights / median(rates.prompt) + passes / threads;
  return {
    tokensPerSecond: range(token, Math.max(spreadOf(rates.ternary), spreadOf(rates.head)), MODEL_ERROR),
    promptTokensPerSecond: range(promptToken, spreadOf(rates.prompt), PROMPT_ERROR),
  };
}

const size = (bytes: number): string =>
  bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

/** What the tab has: WebAssembly's address space, and half of the machine's memory where the browser tells it. */
export function availableMemory(deviceGigabytes: number | undefined, heapMax: number): number | undefined {
  return deviceGigabytes === undefined ? undefined : Math.min(heapMax, (deviceGigabytes * 2 ** 30) / 2);
}

export function predictMemory(needed: number, available: number | undefined, heapMax: number): Prediction["memory"] {
  const fits = needed <= (available ?? heapMax);
  const room = available === undefined ? `the ${size(heapMax)} of a tab` : `about ${size(available)} here`;
  const text = `The model needs ${size(needed)} of memory; ${fits ? "that fits" : "that does not fit"} ${room}.`;
  return { needed, available, fits, text };
}

const short = (rate: number): string => (rate < 10 ? rate.toFixed(1) : rate.toFixed(0));

/** One sentence for a page. */
export function predictionText({ low, expected, high }: PredictedRate): string {
  return `About ${short(expected)} tokens a second are expected, ${short(low)} to ${short(high)}.`;
}
