/* derive.ts: the numbers a row and a chart show, computed from columns.
 *
 * Pure functions. Each says exactly what it computes, because the page prints these sentences beside the
 * numbers. "Not measured" is NaN all the way.
 */
import type { Columns, MetricColumns } from "./columns";

/* Metrics with a place of their own in a row. Everything else is drawn from hello's table. */
export const TPOT = "time_per_output_token";
export const TTFT = "time_to_first_token";
export const MEMORY = "memory";
export const TOKENS_OUT = "generation_tokens";

export const DECODE_HELP = "decode steps divided by the time they took; the first token excluded";
export const DECODE_SPAN = "over the last second that had any decoding in it";
export const PER_TOKEN_HELP =
  "over the last 10 seconds of decoding; 50 % and 95 % of tokens took no longer (merged from each " +
  "window's own p50 and p95)";

/** Steps per second of step time in windows [from, to): sum of n / sum of durations. */
export function rate(metric: MetricColumns, from: number, to: number): number {
  let n = 0;
  let sum = 0;
  for (let i = from; i < to; i++) {
    if (!Number.isNaN(metric.n[i]!)) {
      n += metric.n[i]!;
      sum += metric.sum[i]!;
    }
  }
  return sum > 0 ? n / sum : NaN;
}

/** Index of the newest window in which the metric was measured, or -1. */
export function newest(columns: Columns, metric: MetricColumns): number {
  for (let i = columns.length - 1; i >= 0; i--) if (!Number.isNaN(metric.n[i]!)) return i;
  return -1;
}

/** Decode speed over the last second that had any decoding in it, tokens/s. */
export function decodeRate(columns: Columns): number {
  const tpot = columns.metrics.get(TPOT);
  const end = tpot ? newest(columns, tpot) : -1;
  return tpot && end >= 0 ? rate(tpot, columns.firstFrom(columns.t[end]! - 1000), end + 1) : NaN;
}

export function lastValue(columns: Columns, name: string): number {
  const metric = columns.metrics.get(name);
  const i = metric ? newest(columns, metric) : -1;
  return metric && i >= 0 ? metric.last[i]! : NaN;
}

/* A window says: n values, min at 0 %, p50 at 50 %, p95 at 95 %, max at 100 %. Read as straight lines
 * between those points, this is the share of its values that are <= x. */
function shareBelow(metric: MetricColumns, i: number, x: number): number {
  const points: [number, number][] = [
    [metric.min[i]!, 0],
    [metric.p50[i]!, 0.5],
    [metric.p95[i]!, 0.95],
    [metric.max[i]!, 1],
  ];
  let [x0, s0] = points[0]!;
  if (x < x0) return 0;
  for (const [x1, s1] of points.slice(1)) {
    if (x < x1) return s0 + ((s1 - s0) * (x - x0)) / (x1 - x0);
    [x0, s0] = [x1, s1];
  }
  return 1;
}

/** Quantile of all values in windows [from, to), merged from the windows' own four points. */
export function quantile(metric: MetricColumns, from: number, to: number, share: number): number {
  let low = Infinity;
  let high = -Infinity;
  const used: number[] = [];
  let total = 0;
  for (let i = from; i < to; i++) {
    if (Number.isNaN(metric.n[i]!) || Number.isNaN(metric.p50[i]! + metric.p95[i]!)) continue;
    used.push(i);
    total += metric.n[i]!;
    low = Math.min(low, metric.min[i]!);
    high = Math.max(high, metric.max[i]!);
  }
  if (used.length === 0) return NaN;
  if (used.length === 1 && share === 0.5) return metric.p50[used[0]!]!;
  if (used.length === 1 && share === 0.95) return metric.p95[used[0]!]!;
  for (let step = 0; step < 40; step++) {
    const x = (low + high) / 2;
    const below = used.reduce((sum, i) => sum + metric.n[i]! * shareBelow(metric, i, x), 0);
    if (below < share * total) low = x;
    else high = x;
  }
  return high;
}

/** [p50, p95] of a histogram over the last ten seconds that had any values in them. */
export function recentQuantiles(columns: Columns, name: string): [number, number] {
  const metric = columns.metrics.get(name);
  const end = metric ? newest(columns, metric) : -1;
  if (!metric || end < 0) return [NaN, NaN];
  const from = columns.firstFrom(columns.t[end]! - 10_000);
  return [quantile(metric, from, end + 1, 0.5), quantile(metric, from, end + 1, 0.95)];
}

/** What was added to a counter in the windows that ended at or after t. */
export function sumSince(columns: Columns, name: string, t: number): number {
  const metric = columns.metrics.get(name);
  let sum = NaN;
  for (let i = columns.firstFrom(t); metric && i < columns.length; i++) {
    if (!Number.isNaN(metric.n[i]!)) sum = (Number.isNaN(sum) ? 0 : sum) + metric.sum[i]!;
  }
  return sum;
}
