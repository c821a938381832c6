/* threads.ts: how many threads compute. Before the module starts, how many there may be; after, how many pay.
 *
 * The number of cores that a browser tells is a hint: some hide it, some lie, and it counts hyperthreads and slow
 * cores as whole ones. So as many workers are started as could pay, and products of decoding's size are timed on
 * some of them and on all. Workers that are not wanted stay in their event loop and cost nothing.
 */
import { whyNoThreads, type Choice } from "./features.js";
import { ProbeKind, RateProbe, type Instance } from "./glue.js";

const MAX_AUTO_THREADS = 8;
const MIN_TRIED = 2; /* also where one core is told, or none */
const ENOUGH = 0.95; /* of the best rate */

const PROBE_BYTES = 8 << 20;
const PIECE = 512 << 10; /* of one product */
const HOT_MS = 10; /* for the engine's second compiler */
const SAMPLE_MS = 1.5;
const SAMPLES = 4;

/** How many threads to start, and whether fewer may turn out to do. */
export interface MostThreads extends Choice<number> {
  mayTune: boolean;
}

export function mostThreads(wanted: number | undefined): MostThreads {
  if (wanted === 1) return { value: 1, reason: "One thread was asked for.", mayTune: false };
  const missing = whyNoThreads();
  if (missing !== undefined) return { value: 1, reason: missing, mayTune: false };
  if (wanted !== undefined) return { value: wanted, reason: `${wanted} threads were asked for.`, mayTune: false };
  const told = globalThis.navigator?.hardwareConcurrency || 1;
  const value = Math.max(MIN_TRIED, Math.min(told, MAX_AUTO_THREADS));
  return { value, reason: `This browser tells of ${told} core${told === 1 ? "" : "s"}.`, mayTune: true };
}

/** 1, 2, 4 … and most. */
export function countsToTry(most: number): number[] {
  const counts: number[] = [];
  for (let n = 1; n < most; n *= 2) counts.push(n);
  return [...counts, most];
}

export interface ThreadRate {
  threads: number;
  bytesPerSecond: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The fewest threads that are about as fast as any number of them; two where they cost nothing, since a core that is
 * busy now may be free soon, and the model stays. */
export function fewestThatPay(rates: readonly ThreadRate[]): Choice<number> {
  const ascending = [...rates].sort((a, b) => a.threads - b.threads);
  const best = Math.max(...ascending.map(({ bytesPerSecond }) => bytesPerSecond));
  const enough = ascending.filter(({ bytesPerSecond }) => bytesPerSecond >= ENOUGH * best);
  const { threads } = enough.find(({ threads }) => threads >= MIN_TRIED) ?? enough[0]!;
  const list = ascending.map((r) => `${r.threads} at ${(r.bytesPerSecond / 1e9).toFixed(1)} GB/s`).join(", ");
  return { value: threads, reason: `In a short probe weights were read by ${list}: ${threads} is enough.` };
}

/** Times counts of threads up and down, in about 60 ms and what workers take to start. The best of each count: what
 * else runs on the machine now will not run for as long as the model. */
export function tuneThreads(instance: Instance, most: number): Choice<number> {
  const probe = RateProbe.create(instance, PROBE_BYTES);
  if (!probe) return { value: most, reason: "There was no memory to find out how many threads pay." };
  try {
    const best = new Map<number, number>();
    const ascending = countsToTry(most);
    probe.rate(ProbeKind.tern, PIECE, HOT_MS);
    for (const n of [...[...ascending].reverse(), ...ascending]) {
      const threads = probe.setThreads(n);
      if (threads < 1) continue;
      for (let i = 0; i < SAMPLES; i++) {
        const rate = probe.rate(ProbeKind.tern, PIECE, SAMPLE_MS);
        best.set(threads, Math.max(rate, best.get(threads) ?? 0));
      }
    }
    if (best.size === 0) return { value: 1, reason: "No other thread could be started." };
    return fewestThatPay([...best].map(([threads, bytesPerSecond]) => ({ threads, bytesPerSecond })));
  } finally {
    probe.free();
  }
}
