/* derive.ts: the numbers a row and a chart show, computed from columns.
 *
 * Pure functions. Each says exactly what it computes, because the page prints these sentences beside the
 * numbers. "Not measured" is NaN all the way.
 */
import type { Columns, MetricColumns } from "./columns";
import { Histogram } from "./histogram";

/* Metrics with a place of their own on the page. Everything else is drawn from hello's table. */
export const TPOT = "time_per_output_token";
export const TTFT = "time_to_first_token";
export const MEMORY = "memory";
export const TOKENS_OUT = "generation_tokens";
export const DECODE_RATE = "decode_rate"; /* in hello's `expected` */
export const OVERHEAD = "tracker_overhead";
export const LEAK_LOW = "memory_slope_low";
export const ENERGIES = ["energy", "energy_cpu", "energy_dram", "energy_gpu"]; /* joules, counters */
export const KERNEL_TIME = "kernel_time";
export const KERNEL_BYTES = "kernel_bytes";
export const KERNEL_LEAST = "kernel_least_time";

export const DECODE_HELP = "decode steps divided by the time they took; the first token excluded";
export const DECODE_SPAN = "over the last second that had any decoding in it";
export const QUANTILES_HELP = "of all values of the last minute that had any, from merged histogram buckets, within 1/32";

const MINUTE_MS = 60_000;

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

/** Adds the buckets of windows [from, to) to a histogram. */
export function mergeInto(into: Histogram, metric: MetricColumns, from: number, to: number): Histogram {
  for (let i = from; i < to; i++) if (metric.b[i]) into.add(metric.b[i]!);
  return into;
}

const scratch = new Histogram();

/** Quantile of all values in windows [from, to). */
export function quantile(metric: MetricColumns, from: number, to: number, share: number): number {
  scratch.clear();
  return mergeInto(scratch, metric, from, to).quantile(share);
}

/** Quantiles of a histogram over the last minute that had any values in it. */
export function recentQuantiles(columns: Columns, name: string, shares: number[]): number[] {
  const metric = columns.metrics.get(name);
  const end = metric ? newest(columns, metric) : -1;
  scratch.clear();
  if (metric && end >= 0) mergeInto(scratch, metric, columns.firstFrom(columns.t[end]! - MINUTE_MS), end + 1);
  return shares.map((share) => scratch.quantile(share));
}

/** What was added to a metric in the windows that ended at or after t. */
export function sumSince(columns: Columns, name: string, t: number): number {
  const metric = columns.metrics.get(name);
  let sum = NaN;
  for (let i = columns.firstFrom(t); metric && i < columns.length; i++) {
    if (!Number.isNaN(metric.n[i]!)) sum = (Number.isNaN(sum) ? 0 : sum) + metric.sum[i]!;
  }
  return sum;
}

/** Joules of the last minute over its tokens; NaN when either was not measured. */
export function energyPerToken(columns: Columns, t: number): number {
  const joules = ENERGIES.map((name) => sumSince(columns, name, t)).filter((sum) => !Number.isNaN(sum));
  const tokens = sumSince(columns, TOKENS_OUT, t);
  return joules.length > 0 && tokens > 0 ? joules.reduce((a, b) => a + b) / tokens : NaN;
}
