/* columns.ts: the recent windows of one producer, as columns.
 *
 * One Float64Array of times and, per metric, one array each of n, sum, last, min and max, and of histograms
 * the buckets: what the charts walk through. NaN marks "not measured in this window". Times never go back:
 * a window whose clock did is stored at the time of the one before it, so that every column stays sorted.
 * Labelled series are sparse, each with its own times.
 */
import type { BucketPairs } from "./histogram";
import type { Series, Window } from "./protocol";

/* The hub replays at most 600 windows, a minute at ten a second; the rest is room to append before
 * the oldest are moved out. */
const KEEP = 640;
const CAP = 768;
const MAX_SERIES = 1_000; /* of one producer; a tracker of ours has 256 */

export class MetricColumns {
  n = new Float64Array(CAP).fill(NaN);
  sum = new Float64Array(CAP).fill(NaN);
  last = new Float64Array(CAP).fill(NaN);
  min = new Float64Array(CAP).fill(NaN);
  max = new Float64Array(CAP).fill(NaN);
  b: BucketPairs[] = [];

  all(): Float64Array[] {
    return [this.n, this.sum, this.last, this.min, this.max];
  }

  clone(): MetricColumns {
    const copy = new MetricColumns();
    const mine = this.all();
    copy.all().forEach((column, i) => column.set(mine[i]!));
    copy.b = [...this.b];
    return copy;
  }
}

/** One metric under one set of labels: what each window added to it. */
export interface SeriesColumn {
  name: string;
  labels: Map<string, string>;
  t: number[];
  sum: number[];
}

export class Columns {
  readonly t = new Float64Array(CAP);
  readonly metrics = new Map<string, MetricColumns>();
  readonly series = new Map<string, SeriesColumn>();
  length = 0;
  seriesLeftOut = 0; /* values of series beyond the first MAX_SERIES */

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
      columns.min[i] = metric.min;
      columns.max[i] = metric.max;
      if (metric.b.length > 0) columns.b[i] = metric.b;
    }
    for (const entry of window.s) this.appendSeries(this.t[i]!, entry);
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

  clone(): Columns {
    const copy = new Columns();
    copy.t.set(this.t);
    copy.length = this.length;
    copy.seriesLeftOut = this.seriesLeftOut;
    for (const [name, metric] of this.metrics) copy.metrics.set(name, metric.clone());
    for (const [key, s] of this.series) copy.series.set(key, { ...s, t: [...s.t], sum: [...s.sum] });
    return copy;
  }

  private appendSeries(t: number, entry: Series): void {
    const key = JSON.stringify([entry.name, ...[...entry.labels].sort(([a], [b]) => (a < b ? -1 : 1))]);
    let column = this.series.get(key);
    if (!column) {
      if (this.series.size >= MAX_SERIES) {
        this.seriesLeftOut++;
        return;
      }
      this.series.set(key, (column = { name: entry.name, labels: entry.labels, t: [], sum: [] }));
    }
    column.t.push(t);
    column.sum.push(entry.sum);
    if (column.t.length < CAP) return;
    column.t.splice(0, CAP - KEEP);
    column.sum.splice(0, CAP - KEEP);
  }

  private forgetOldest(): void {
    const from = this.length - KEEP;
    this.t.copyWithin(0, from);
    for (const metric of this.metrics.values()) {
      for (const column of metric.all()) column.copyWithin(0, from).fill(NaN, KEEP);
      metric.b.splice(0, from);
    }
    this.length = KEEP;
  }
}
