/* histogram.ts: the log-linear buckets of core/include/bitnet/histogram.h, and percentiles from merged ones.
 *
 * Same layout and same arithmetic as the core: bucket i begins at 2^(⌊i/16⌋−30) · (1 + (i mod 16)/16), a
 * percentile is the middle of its bucket. Buckets are added up over windows, producers and runs before a percentile
 * is taken; averages of percentiles mean nothing.
 */

export const BUCKETS = 1024;
const MIN_EXP = -30;
const MAX_EXP = 34;
const SUB = 16;

/** As on the wire: index and count in turn, indices ascending. */
export type BucketPairs = readonly number[];

/** Lower edge of bucket i, which is the upper one of the bucket before it; i may be BUCKETS. */
export function bucketEdge(i: number): number {
  return 2 ** (Math.floor(i / SUB) + MIN_EXP) * (1 + (i % SUB) / SUB);
}

export function bucketOf(value: number): number {
  if (!(value >= 2 ** MIN_EXP)) return 0;
  if (value >= 2 ** MAX_EXP) return BUCKETS - 1;
  let exp = Math.floor(Math.log2(value));
  if (2 ** exp > value) exp--; /* log2 rounds */
  if (2 ** (exp + 1) <= value) exp++;
  return (exp - MIN_EXP) * SUB + Math.floor((value / 2 ** exp - 1) * SUB);
}

export class Histogram {
  n = 0;
  private readonly counts = new Float64Array(BUCKETS);
  private low = BUCKETS; /* the buckets that are not empty lie in [low, high] */
  private high = -1;

  add(pairs: BucketPairs): void {
    for (let k = 0; k + 1 < pairs.length; k += 2) this.addCount(pairs[k]!, pairs[k + 1]!);
  }

  merge(other: Histogram): void {
    for (let i = other.low; i <= other.high; i++) if (other.counts[i]) this.addCount(i, other.counts[i]!);
  }

  clear(): void {
    if (this.n > 0) this.counts.fill(0, this.low, this.high + 1);
    this.n = 0;
    this.low = BUCKETS;
    this.high = -1;
  }

  /** The value with at least `share` of all at or below it (nearest rank), share in [0, 1]; NaN when empty. */
  quantile(share: number): number {
    if (this.n === 0) return NaN;
    const want = Math.max(1, Math.ceil(share * this.n));
    let seen = 0;
    let i = this.low;
    for (; i < this.high; i++) {
      seen += this.counts[i]!;
      if (seen >= want) break;
    }
    return (bucketEdge(i) + bucketEdge(i + 1)) / 2;
  }

  /** Steps of the distribution: the upper edge of each bucket that is not empty, and the share of values below it. */
  steps(): [number, number][] {
    const out: [number, number][] = [];
    let seen = 0;
    for (let i = this.low; i <= this.high; i++) {
      if (!this.counts[i]) continue;
      if (seen === 0) out.push([bucketEdge(i), 0]);
      seen += this.counts[i]!;
      out.push([bucketEdge(i + 1), seen / this.n]);
    }
    return out;
  }

  private addCount(i: number, count: number): void {
    this.counts[i]! += count;
    this.n += count;
    this.low = Math.min(this.low, i);
    this.high = Math.max(this.high, i);
  }
}
