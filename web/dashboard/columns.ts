/* columns.ts: the recent windows of one producer, as columns.
 *
 * One Float64Array of times and, per metric, one array each of n, sum, p50, p95 and last: what the
 * charts walk through. NaN marks "not measured in this window". Times never go back: a window whose
 * clock did is stored at the time of the one before it, so that every column stays sorted.
 */
import type { Window } from "./protocol";

/* The hub replays at most 600 windows, a minute at ten a second; the rest is room to append before
 * the oldest are moved out. */
const KEEP = 640;
const CAP = 768;

export class MetricColumns {
  readonly n = new Float64Array(CAP).fill(NaN);
  readonly sum = new Float64Array(CAP).fill(NaN);
  readonly last = new Float64Array(CAP).fill(NaN);
  readonly p50 = new Float64Array(CAP).fill(NaN);
  readonly p95 = new Float64Array(CAP).fill(NaN);
  readonly min = new Float64Array(CAP).fill(NaN);
  readonly max = new Float64Array(CAP).fill(NaN);

  all(): Float64Array[] {
    return [this.n, this.sum, this.last, this.p50, this.p95, this.min, this.max];
  }
}

export class Columns {
  readonly t = new Float64Array(CAP);
  readonly metrics = new Map<string, MetricColumns>();
  length = 0;

  append(window: Window): void {
    if (this.length === CAP) this.forgetOldest();
    const i = this.length++;
    this.t[i] = i > 0 ? Math.max(window.t_ms, this.t[i - 1]!) : window.t_ms;
    for (const [name, metric] of window.m) {
      let columns = this.metrics.get(name);
      if (!columns) this.metrics.set(name, (columns = new MetricColumns()));
      columns.n[i] = metric.n;
      columns.sum[i] = metric.sum;
      columns.last[i] = metric.last;
      columns.p50[i] = metric.p50;
      columns.p95[i] = metric.p95;
      columns.min[i] = metric.min;
      columns.max[i] = metric.max;
    }
  }

  /** Index of the first window that ended at or after t. */
  firstFrom(t: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.t[middle]! < t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private forgetOldest(): void {
    const from = this.length - KEEP;
    this.t.copyWithin(0, from);
    for (const metric of this.metrics.values()) {
      for (const column of metric.all()) column.copyWithin(0, from).fill(NaN, KEEP);
    }
    this.length = KEEP;
  }
}
