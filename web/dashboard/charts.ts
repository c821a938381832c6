/* charts.ts: the live chart, one line per producer over the last seconds.
 *
 * Windows of all producers are laid on one grid of 300 bins (uPlot wants one x column), so drawing is
 * a walk through columns and never a join. Lines are told apart by colour, by dash pattern and by the
 * producer's letter at their newest point. A hole longer than 1.2 s is shown as a hole.
 */
import uPlot from "uplot";
import { quantity } from "../shared/format";
import type { MetricColumns } from "./columns";
import { quantile, rate } from "./derive";
import type { Cell, Grid } from "./grid";
import type { Producer } from "./store";

const MINUTE_MS = 60_000;
const BINS = 301; /* a minute in bins of 200 ms, and the one under way */
const HOLE_MS = 1_200;
const COLOURS = 8;
const DASHES: number[][] = [[], [9, 4], [4, 3], [12, 3, 3, 3]];

/** What a chart shows of one metric in windows [from, to): a line, and maybe the top of a band over it. */
export interface View {
  metric: string;
  unit: string;
  line: (m: MetricColumns, from: number, to: number) => number;
  top?: (m: MetricColumns, from: number, to: number) => number;
}

export function rateView(metric: string): View {
  return { metric, unit: "{token}/s", line: rate };
}

export function histogramView(metric: string, unit: string): View {
  return {
    metric,
    unit,
    line: (m, from, to) => quantile(m, from, to, 0.5),
    top: (m, from, to) => quantile(m, from, to, 0.95),
  };
}

export function lastView(metric: string, unit: string): View {
  return { metric, unit, line: (m, _from, to) => m.last[to - 1]! };
}

type Column = (number | null)[];

/** BINS bins from t0 of one producer: for each bin the windows that ended in it, put through f. */
export function binned(p: Producer, name: string, t0: number, f: View["line"], spanMs = MINUTE_MS): Column {
  const binMs = spanMs / (BINS - 1);
  const out: Column = new Array<number | null>(BINS).fill(null);
  const metric = p.columns.metrics.get(name);
  if (!metric) return out;
  const { columns, clockOffMs } = p;
  let i = columns.firstFrom(t0 + clockOffMs);
  while (i < columns.length) {
    const bin = Math.floor((columns.t[i]! - clockOffMs - t0) / binMs);
    if (bin >= BINS) break;
    const from = i;
    let end = -1; /* one past the newest window of this bin that measured the metric */
    for (; i < columns.length && columns.t[i]! - clockOffMs < t0 + (bin + 1) * binMs; i++) {
      if (!Number.isNaN(metric.n[i]!)) end = i + 1;
    }
    const value = end < 0 ? NaN : f(metric, from, end);
    if (Number.isFinite(value)) out[bin] = value;
  }
  return out;
}

function newestIndex(line: Column): number {
  let i = line.length - 1;
  while (i >= 0 && line[i] === null) i--;
  return i;
}

/** Top of the y axis: over every line; with bands, over 97 % of all points, so that one outlier hides nothing. */
export function yTop(lines: Column[], tops: Column[]): number {
  const points = [...lines, ...tops].flat().filter((y): y is number => y !== null);
  points.sort((a, b) => a - b);
  const share = tops.length > 0 ? 0.97 : 1;
  const top = points[Math.floor(share * (points.length - 1))] ?? 0;
  return top > 0 ? top * 1.15 : 1;
}

export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function seriesColour(slot: number): string {
  return `--series-${(slot % COLOURS) + 1}`;
}

export function seriesDash(slot: number): number[] {
  return DASHES[Math.floor(slot / COLOURS + slot) % DASHES.length]!;
}

/* uPlot's gaps are pixel ranges between two points; those shorter than HOLE_MS are joined by the line. */
const joinShortGaps: uPlot.Series.GapsRefiner = (u, _series, _i0, _i1, gaps) => {
  const { min = 0, max = 1 } = u.scales["x"]!;
  const pxPerMs = u.bbox.width / ((max! - min!) * 1000);
  return gaps.filter(([from, to]) => (to - from) / pxPerMs > HOLE_MS);
};

export class LiveChart {
  private plot: uPlot | undefined;
  private shown: Producer[] = [];
  private data: Column[] = [];
  private shape = "";
  private x: number[] = [];
  private yTop = 1;

  constructor(
    private readonly host: HTMLElement,
    private view: View,
    private readonly onCursor: () => void,
  ) {
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
  }

  setView(view: View): void {
    this.view = view;
    this.shape = "";
  }

  /** Colours changed: the next draw makes everything anew. */
  restyle(): void {
    this.shape = "";
  }

  draw(producers: Producer[], hubNow: number, spanMs: number): void {
    const binMs = spanMs / (BINS - 1);
    const t0 = Math.floor((hubNow - spanMs) / binMs) * binMs;
    const lines = producers.map((p) => binned(p, this.view.metric, t0, this.view.line, spanMs));
    const drawn = producers.map((_, i) => i).filter((i) => lines[i]!.some((y) => y !== null));
    this.shown = drawn.map((i) => producers[i]!);
    this.data = drawn.map((i) => lines[i]!);
    const { top } = this.view;
    const tops = top ? this.shown.map((p) => binned(p, this.view.metric, t0, top, spanMs)) : [];
    this.x = Array.from({ length: BINS }, (_, bin) => (t0 + bin * binMs) / 1000);
    this.yTop = yTop(this.data, tops);
    if (this.host.clientWidth === 0) return; /* the table is shown in its place */
    this.rebuildIfNeeded();
    this.plot!.setData([this.x, ...this.data, ...tops], false);
    this.plot!.setScale("x", { min: (hubNow - spanMs) / 1000, max: hubNow / 1000 });
  }

  /** Producers with a line, and each one's value under the cursor, or its newest. */
  values(): [Producer, string][] {
    const at = this.plot?.cursor.idx;
    return this.shown.map((p, i) => {
      const line = this.data[i]!;
      const value = line[at ?? newestIndex(line)];
      return [p, quantity(value ?? undefined, this.view.unit)];
    });
  }

  /** The lines as a table, the newest moment first; moments at which nobody measured anything are left out. */
  grid(): Grid {
    const { unit } = this.view;
    const columns = [{ name: "time", unit: "t_ms" }, ...this.shown.map((p) => ({ name: `${p.key} ${p.hello.name}`, unit }))];
    const rows = this.x
      .map((seconds, bin): Cell[] => [Math.round(seconds * 1000), ...this.data.map((line) => line[bin] ?? null)])
      .filter((cells) => cells.some((cell, i) => i > 0 && cell !== null));
    return { columns, rows: rows.reverse() };
  }

  private size(): { width: number; height: number } {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  private rebuildIfNeeded(): void {
    const shape = this.shown.map((p) => `${p.slot}`).join() + this.view.metric;
    if (this.plot && shape === this.shape) return;
    this.plot?.destroy();
    this.shape = shape;
    this.plot = new uPlot(this.options(), [[]], this.host);
  }

  private options(): uPlot.Options {
    const { unit, top } = this.view;
    const axis: uPlot.Axis = {
      stroke: cssColour("--muted"),
      font: `11px ${cssColour("--font")}`,
      grid: { stroke: cssColour("--grid"), width: 1 },
      ticks: { show: false },
    };
    const line = (p: Producer): uPlot.Series => ({
      stroke: cssColour(seriesColour(p.slot)),
      width: 2,
      dash: seriesDash(p.slot),
      gaps: joinShortGaps,
      points: { size: 4 },
    });
    const edge: uPlot.Series = { gaps: joinShortGaps, points: { show: false } };
    const n = this.shown.length;
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: true },
        y: { range: () => [0, this.yTop] },
      },
      axes: [
        { ...axis, space: 70, size: 24, values: "{HH}:{mm}:{ss}" },
        { ...axis, space: 28, size: 72, values: (_u, splits) => splits.map((v) => (v ? quantity(v, unit) : "0")) },
      ],
      series: [{}, ...this.shown.map(line), ...(top ? this.shown.map(() => edge) : [])],
      bands: top
        ? this.shown.map((p, i) => ({
            series: [n + i + 1, i + 1] as [number, number],
            fill: `${cssColour(seriesColour(p.slot))}2e`,
          }))
        : [],
      hooks: { draw: [(u) => this.drawKeys(u)], setCursor: [() => this.onCursor()] },
    };
  }

  /* The producer's letter at the newest point of its line; letters that would overlap move up. */
  private drawKeys(u: uPlot): void {
    const ratio = devicePixelRatio;
    const radius = 8 * ratio;
    const ends = this.shown.flatMap((p, i) => {
      const at = newestIndex(this.data[i]!);
      if (at < 0) return [];
      const x = u.valToPos(u.data[0]![at]!, "x", true);
      return [{ p, x: Math.max(x, u.bbox.left), y: u.valToPos(this.data[i]![at]!, "y", true) }];
    });
    ends.sort((a, b) => b.y - a.y);
    const { ctx } = u;
    ctx.save();
    ctx.font = `600 ${10 * ratio}px ${cssColour("--font")}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ends.forEach((end, i) => {
      const below = ends[i - 1];
      if (below && Math.abs(below.x - end.x) < 2 * radius) end.y = Math.min(end.y, below.y - 2 * radius);
      ctx.fillStyle = cssColour(seriesColour(end.p.slot));
      ctx.beginPath();
      ctx.arc(end.x, end.y, radius, 0, 2 * Math.PI);
      ctx.fill();
      ctx.fillStyle = cssColour("--surface");
      ctx.fillText(end.p.key, end.x, end.y + ratio / 2);
    });
    ctx.restore();
  }
}
