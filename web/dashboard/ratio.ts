/* ratio.ts: how much larger a metric is in one run than in another, and how sure that is.
 *
 * The values are those of the runs' windows, weighted by how many measurements each holds. The interval is a
 * percentile bootstrap (Efron 1979) over circular blocks of windows (Politis and Romano 1992), because neighbouring windows
 * are alike; blocks are n^(1/3) windows long. The seed is fixed: the same data give the same interval.
 */

export interface Weighted {
  sum: number; /* of the window's values */
  n: number; /* how many there were */
}

export interface Ratio {
  ratio: number; /* b / a */
  low: number; /* 95 % interval */
  high: number;
}

export type Verdict = "lower" | "higher" | "same" | "undecided";

export const LEAST_WINDOWS = 5; /* fewer say nothing of how values vary */
const ROUNDS = 2_000;
const CONFIDENCE = 0.95;
const SEED = 0x9e3779b9;

/* Marsaglia's xorshift32: enough to choose blocks. */
function randomSource(seed: number): () => number {
  let x = seed | 0;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

function mean(values: readonly Weighted[]): number {
  let sum = 0;
  let n = 0;
  for (const value of values) {
    sum += value.sum;
    n += value.n;
  }
  return sum / n;
}

function resampledMean(values: readonly Weighted[], random: () => number): number {
  const block = Math.max(1, Math.round(Math.cbrt(values.length)));
  let sum = 0;
  let n = 0;
  for (let taken = 0; taken < values.length; ) {
    const start = Math.floor(random() * values.length);
    for (let i = 0; i < block && taken < values.length; i++, taken++) {
      const value = values[(start + i) % values.length]!;
      sum += value.sum;
      n += value.n;
    }
  }
  return sum / n;
}

/** mean(b) / mean(a) with its interval; undefined where there are too few windows, or a mean is not above zero. */
export function ratioOf(a: readonly Weighted[], b: readonly Weighted[]): Ratio | undefined {
  if (a.length < LEAST_WINDOWS || b.length < LEAST_WINDOWS) return undefined;
  const ratio = mean(b) / mean(a);
  if (!(mean(a) > 0 && mean(b) > 0)) return undefined;
  const random = randomSource(SEED);
  const ratios = Array.from({ length: ROUNDS }, () => resampledMean(b, random) / resampledMean(a, random));
  ratios.sort((x, y) => x - y);
  const at = (share: number) => ratios[Math.round(share * (ROUNDS - 1))]!;
  return { ratio, low: at((1 - CONFIDENCE) / 2), high: at((1 + CONFIDENCE) / 2) };
}

/** What the interval says of effects of at least `effect`, such as 0.02: all beyond it, all within it, or neither. */
export function verdictOf({ low, high }: Ratio, effect: number): Verdict {
  const [least, most] = [1 / (1 + effect), 1 + effect];
  if (low > most) return "higher";
  if (high < least) return "lower";
  return low >= least && high <= most ? "same" : "undecided";
}
