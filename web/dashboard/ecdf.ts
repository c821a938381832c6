/* ecdf.ts: the distribution of a histogram metric, a step line for each producer.
 *
 * y is the share of values at or below x, x is logarithmic. The steps are the edges of merged buckets, so
 * a line is never off by more than a bucket, 1/16 of the value. Drawn on a canvas of our own: a
 * distribution has no common x column that a line chart could use.
 */
import { quantity } from "../shared/format";
import { cssColour, seriesColour, seriesDash } from "./charts";
import { mergeInto } from "./derive";
import type { Cell, Grid } from "./grid";
import { Histogram } from "./histogram";
import type { Producer } from "./store";

const SHARES = [0.5, 0.9, 0.95, 0.99];
const GUIDES = [0.5, 0.95];
const MARGIN = { left: 34, right: 12, top: 8, bottom: 20 };

interface Line {
  p: Producer;
  steps: [number, number][];
  n: number;
  quantiles: number[];
}

/** The distribution of one producer's values in windows that ended in [from, to], or undefined without any. */
export function distribution(p: Producer, metric: string, from: number, to: number): Histogram | undefined {
  const column = p.columns.metrics.get(metric);
  if (!column) return undefined;
  const first = p.columns.firstFrom(from + p.clockOffMs);
  const end = p.columns.firstFrom(to + p.clockOffMs + 1);
  const merged = mergeInto(new Histogram(), column, first, end);
  return merged.n > 0 ? merged : undefined;
}

export class Ecdf {
  private readonly canvas: HTMLCanvasElement;
  private lines: Line[] = [];
  private unit = "s";
  private low = 1e-4;
  private high = 1;
  private pointer: number | undefined;

  constructor(
    private readonly host: HTMLElement,
    private readonly onPointer: () => void,
  ) {
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true"); /* the host has the label */
    host.append(this.canvas);
    new ResizeObserver(() => this.paint()).observe(host);
    host.addEventListener("pointermove", (event) => this.point(event.offsetX));
    host.addEventListener("pointerleave", () => this.point(undefined));
  }

  draw(producers: Producer[], metric: string, unit: string, from: number, to: number): void {
    this.unit = unit;
    this.lines = producers.flatMap((p) => {
      const all = distribution(p, metric, from, to);
      if (!all) return [];
      return [{ p, steps: all.steps(), n: all.n, quantiles: SHARES.map((share) => all.quantile(share)) }];
    });
    const edges = this.lines.flatMap(({ steps }) => [steps[0]![0], steps.at(-1)![0]]).filter((x) => x > 0);
    this.low = edges.length ? Math.min(...edges) / 1.15 : 1e-4;
    this.high = edges.length ? Math.max(...edges) * 1.15 : 1;
    this.paint();
  }

  get isEmpty(): boolean {
    return this.lines.length === 0;
  }

  /** "p50 4.2 ms, p95 5.0 ms", or at the pointer "83 % ≤ 4.6 ms". */
  values(): [Producer, string][] {
    const x = this.pointer === undefined ? NaN : this.valueAt(this.pointer);
    return this.lines.map(({ p, steps, quantiles }) => {
      if (Number.isNaN(x)) {
        return [p, `p50 ${quantity(quantiles[0], this.unit)} · p95 ${quantity(quantiles[2], this.unit)}`];
      }
      const share = steps.filter(([edge]) => edge <= x).at(-1)?.[1] ?? 0;
      return [p, `${Math.round(share * 100)} % ≤ ${quantity(x, this.unit)}`];
    });
  }

  grid(): Grid {
    const { unit } = this;
    const columns = [
      { name: "producer" },
      { name: "n", unit: "" },
      ...SHARES.map((share) => ({ name: `p${Math.round(share * 100)}`, unit })),
    ];
    return { columns, rows: this.lines.map(({ p, n, quantiles }): Cell[] => [`${p.key} ${p.hello.name}`, n, ...quantiles]) };
  }

  private point(x: number | undefined): void {
    this.pointer = x;
    this.paint();
    this.onPointer();
  }

  private get width(): number {
    return this.host.clientWidth - MARGIN.left - MARGIN.right;
  }

  private get height(): number {
    return this.host.clientHeight - MARGIN.top - MARGIN.bottom;
  }

  private x(value: number): number {
    return MARGIN.left + (Math.log(value / this.low) / Math.log(this.high / this.low)) * this.width;
  }

  private valueAt(x: number): number {
    return this.low * (this.high / this.low) ** Math.min(1, Math.max(0, (x - MARGIN.left) / this.width));
  }

  private y(share: number): number {
    return MARGIN.top + (1 - share) * this.height;
  }

  private paint(): void {
    const { canvas, host } = this;
    if (this.width <= 0 || this.height <= 0) return;
    canvas.width = Math.round(host.clientWidth * devicePixelRatio);
    canvas.height = Math.round(host.clientHeight * devicePixelRatio);
    const ctx = canvas.getContext("2d")!;
    ctx.scale(devicePixelRatio, devicePixelRatio);
    ctx.font = `11px ${cssColour("--font")}`;
    this.paintAxes(ctx);
    for (const line of this.lines) this.paintLine(ctx, line);
    if (this.pointer === undefined || this.lines.length === 0) return;
    ctx.strokeStyle = cssColour("--muted");
    ctx.setLineDash([]);
    ctx.lineWidth = 1;
    const x = this.x(this.valueAt(this.pointer));
    this.stroke(ctx, [[x, this.y(0)], [x, this.y(1)]]);
  }

  private paintAxes(ctx: CanvasRenderingContext2D): void {
    ctx.fillStyle = cssColour("--muted");
    ctx.lineWidth = 1;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    for (const share of [0, ...GUIDES, 1]) {
      ctx.strokeStyle = cssColour(GUIDES.includes(share) ? "--line" : "--grid");
      ctx.setLineDash(GUIDES.includes(share) ? [3, 3] : []);
      const y = this.y(share);
      this.stroke(ctx, [[MARGIN.left, y], [MARGIN.left + this.width, y]]);
      if (share !== 1) ctx.fillText(`${Math.round(share * 100)} %`, MARGIN.left - 5, y);
    }
    ctx.setLineDash([]);
    ctx.strokeStyle = cssColour("--grid");
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    let free = MARGIN.left; /* where the next label may begin */
    for (let decade = Math.floor(Math.log10(this.low)); decade <= Math.log10(this.high); decade++) {
      for (const step of [1, 2, 5]) {
        const value = step * 10 ** decade;
        if (value < this.low || value > this.high) continue;
        const x = this.x(value);
        this.stroke(ctx, [[x, this.y(0)], [x, this.y(1)]]);
        const label = quantity(value, this.unit);
        const half = ctx.measureText(label).width / 2;
        if (x - half < free || x + half > this.host.clientWidth) continue;
        ctx.fillText(label, x, this.y(0) + 5);
        free = x + half + 12;
      }
    }
  }

  private paintLine(ctx: CanvasRenderingContext2D, { p, steps }: Line): void {
    const points: [number, number][] = [];
    let before = 0;
    for (const [edge, share] of steps) {
      const x = this.x(Math.max(edge, this.low));
      points.push([x, this.y(before)], [x, this.y(share)]);
      before = share;
    }
    points.push([MARGIN.left + this.width, this.y(1)]);
    ctx.strokeStyle = cssColour(seriesColour(p.slot));
    ctx.lineWidth = 2;
    ctx.setLineDash(seriesDash(p.slot));
    this.stroke(ctx, points);
  }

  private stroke(ctx: CanvasRenderingContext2D, points: [number, number][]): void {
    ctx.beginPath();
    points.forEach(([x, y], i) => (i === 0 ? ctx.moveTo(x, y) : ctx.lineTo(x, y)));
    ctx.stroke();
  }
}
