/* run_chart.ts: one metric of one run over time, with what was lost marked.
 *
 * A histogram is its p50 shaded up to p95, a gauge its mean between the least and the largest value, a counter what was
 * added. Points that are further apart than three of their spans are not joined. Gaps that the
 * producer declared are red bars at the bottom.
 */
import uPlot from "uplot";
import { dateTime, quantity } from "../shared/format";
import { cssColour } from "./charts";
import type { Grid } from "./grid";
import type { Point, RunGap, RunMetric } from "./history_api";

const HOLE_SPANS = 3;
const HOLE_LEAST_S = 2; /* a producer that has nothing to say sends a window every two seconds */

interface Drawn {
  line: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
}

/** A tick of the time axis, as exact as ticks are far apart. */
function moment(seconds: number, step: number): string {
  const text = dateTime(seconds * 1000);
  if (step >= 86_400) return text.slice(5, 10);
  return step >= 60 ? text.slice(11, 16) : text.slice(11);
}

const known = (x: number) => (Number.isFinite(x) ? x : null);

export function drawnValues({ kind }: RunMetric, points: Point[]): Drawn {
  if (kind === "counter") return { line: points.map((p) => known(p.sum)), low: [], high: [] };
  if (kind === "hist") {
    return { line: points.map((p) => known(p.p50)), low: [], high: points.map((p) => known(p.p95)) };
  }
  const mean = points.map((p) => known(p.sum / p.n));
  return { line: mean, low: points.map((p) => known(p.min)), high: points.map((p) => known(p.max)) };
}

export class RunChart {
  private plot: uPlot | undefined;
  private shown: { metric: RunMetric; points: Point[]; gaps: RunGap[] } | undefined;

  constructor(
    private readonly host: HTMLElement,
    private readonly onCursor: (text: string) => void,
  ) {
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(host);
  }

  draw(metric: RunMetric, points: Point[], gaps: RunGap[]): void {
    this.shown = { metric, points, gaps };
    this.plot?.destroy();
    const { line, low, high } = drawnValues(metric, points);
    const x = points.map((p) => p.t_ms / 1000);
    const others = [low, high].filter((column) => column.length > 0);
    this.plot = new uPlot(this.options(others.length), [x, line, ...others], this.host);
    this.readout();
  }

  clear(): void {
    this.plot?.destroy();
    this.plot = undefined;
    this.shown = undefined;
  }

  restyle(): void {
    if (this.shown) this.draw(this.shown.metric, this.shown.points, this.shown.gaps);
  }

  grid(): Grid {
    const unit = this.shown?.metric.unit ?? "";
    const values = ["mean", "min", "max", "p50", "p95"].map((name) => ({ name, unit }));
    const columns = [{ name: "time", unit: "date_ms" }, { name: "n", unit: "" }, { name: "sum", unit }, ...values];
    const points = this.shown?.points ?? [];
    return { columns, rows: points.map((p) => [p.t_ms, p.n, p.sum, p.sum / p.n, p.min, p.max, p.p50, p.p95]) };
  }

  private size(): { width: number; height: number } {
    return { width: this.host.clientWidth, height: this.host.clientHeight };
  }

  private readout(): void {
    const { plot, shown } = this;
    const at = plot?.cursor.idx;
    const point = at === null || at === undefined ? undefined : shown?.points[at];
    if (!point || !shown) return this.onCursor("");
    const { kind, unit } = shown.metric;
    const q = (value: number) => quantity(value, unit);
    const value =
      kind === "counter"
        ? q(point.sum)
        : kind === "hist"
          ? `p50 ${q(point.p50)}, p95 ${q(point.p95)}`
          : `${q(point.sum / point.n)} (${q(point.min)} to ${q(point.max)})`;
    this.onCursor(`${quantity(point.t_ms, "t_ms")}: ${value}, n ${point.n.toLocaleString("en-US")}`);
  }

  private options(others: number): uPlot.Options {
    const { unit } = this.shown!.metric;
    const joins: uPlot.Series.GapsRefiner = (_u, _s, _a, _b, gaps) => gaps;
    const axis: uPlot.Axis = {
      stroke: cssColour("--muted"),
      font: `11px ${cssColour("--font")}`,
      grid: { stroke: cssColour("--grid"), width: 1 },
      ticks: { show: false },
    };
    const colour = cssColour("--series-1");
    const edge: uPlot.Series = { points: { show: false }, width: 0, gaps: joins };
    const few = this.shown!.points.length < 60;
    const band = others === 2 ? ([3, 2] as const) : ([2, 1] as const);
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, y: { range: (_u, low, high) => [Math.min(0, low), high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, space: 70, size: 24, values: (_u, splits, _i, _space, step) => splits.map((s) => moment(s, step)) },
        { ...axis, space: 28, size: 72, values: (_u, splits) => splits.map((v) => (v ? quantity(v, unit) : "0")) },
      ],
      series: [
        {},
        { stroke: colour, width: 2, points: { show: few, size: 5 }, gaps: (u, s, a, b, gaps) => this.holes(u, s, a, b, gaps) },
        ...new Array<uPlot.Series>(others).fill(edge),
      ],
      bands: others > 0 ? [{ series: [band[0], band[1]], fill: `${colour}2e` }] : [],
      hooks: { setCursor: [() => this.readout()], draw: [(u) => this.drawGaps(u)] },
    };
  }

  /* Points too far apart are no line, also where no value between them says so. */
  private holes(u: uPlot, _s: number, from: number, to: number, gaps: uPlot.Series.Gaps): uPlot.Series.Gaps {
    const { points } = this.shown!;
    const out = [...gaps];
    for (let i = Math.max(1, from); i <= Math.min(to, points.length - 1); i++) {
      const [a, b] = [points[i - 1]!, points[i]!];
      const most = Math.max(HOLE_LEAST_S * 1500, HOLE_SPANS * b.span_ms);
      if (!(b.t_ms - a.t_ms > most)) continue;
      out.push([Math.round(u.valToPos(a.t_ms / 1000, "x", true)), Math.round(u.valToPos(b.t_ms / 1000, "x", true))]);
    }
    return out.sort(([a], [b]) => a - b);
  }

  private drawGaps(u: uPlot): void {
    const { ctx, bbox } = u;
    const height = 6 * devicePixelRatio;
    ctx.save();
    ctx.fillStyle = cssColour("--bad");
    for (const gap of this.shown!.gaps) {
      const x = Math.round(u.valToPos(gap.t_ms / 1000, "x", true));
      if (!(x >= bbox.left && x <= bbox.left + bbox.width)) continue;
      ctx.fillRect(x - height / 2, bbox.top + bbox.height - height, height, height);
      ctx.fillRect(x, bbox.top, Math.ceil(devicePixelRatio), bbox.height);
    }
    ctx.restore();
  }
}
