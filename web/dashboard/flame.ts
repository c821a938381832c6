/* flame.ts: slices of a trace on a canvas, a group of lanes for each thread, time to the right.
 *
 * Drag or the arrow keys move, the wheel, + and − zoom, 0 shows everything, a click or Enter selects. Each lane is sorted, so
 * drawing looks at what can be seen and jumps over slices that share a pixel: the work is one of
 * pixels, not of slices.
 */
import { quantity } from "../shared/format";
import { cssColour } from "./charts";
import type { Trace } from "./trace_parse";

const LANE = 20;
const HEAD = 18; /* a thread's name */
const RULER = 20;
const LABEL_FROM = 34; /* pixels a slice needs for text */
const COLOURS = 8;
const LEAST_SPAN = 0.01; /* microseconds on the screen at most zoom */

export class Flame {
  private trace: Trace | undefined;
  private from = 0; /* microseconds at the left edge */
  private span = 1;
  private selected = -1;
  private hovered = -1;
  private frame = 0;
  private drag: { x: number; from: number; moved: boolean } | undefined;
  private readonly canvas = document.createElement("canvas");

  constructor(
    private readonly host: HTMLElement,
    private readonly onSelect: (slice: number) => void,
    private readonly onHover: (slice: number) => void,
  ) {
    this.canvas.setAttribute("aria-hidden", "true"); /* the host has the label, the list has the slices */
    host.append(this.canvas);
    new ResizeObserver(() => this.requestPaint()).observe(host);
    host.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    host.addEventListener("pointerdown", (event) => this.press(event));
    host.addEventListener("pointermove", (event) => this.move(event));
    host.addEventListener("pointerup", (event) => this.release(event));
    host.addEventListener("pointerleave", () => this.hover(-1));
    host.addEventListener("keydown", (event) => this.key(event));
  }

  show(trace: Trace | undefined): void {
    this.trace = trace;
    this.selected = -1;
    this.canvas.style.height = `${this.height()}px`;
    this.all();
  }

  /** Selects a slice and brings it into view, a quarter of the width. */
  select(slice: number, zoom: boolean): void {
    this.selected = slice;
    const { trace } = this;
    if (trace && slice >= 0 && zoom) {
      const length = Math.max(trace.length[slice]!, LEAST_SPAN);
      this.look(trace.start[slice]! - 1.5 * length, 4 * length);
    }
    this.onSelect(slice);
    this.requestPaint();
  }

  requestPaint(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  private all(): void {
    const span = this.trace?.span ?? 1;
    this.look(0, span > 0 ? span * 1.01 : 1);
  }

  private look(from: number, span: number): void {
    const whole = Math.max(this.trace?.span ?? 1, LEAST_SPAN) * 1.01;
    this.span = Math.min(Math.max(span, LEAST_SPAN), whole);
    this.from = Math.min(Math.max(from, 0), whole - this.span);
    this.requestPaint();
  }

  private zoom(factor: number, x: number): void {
    const at = this.from + (x / this.host.clientWidth) * this.span;
    const whole = (this.trace?.span ?? 1) * 1.01;
    const span = Math.min(Math.max(this.span * factor, LEAST_SPAN), whole);
    this.look(at - (x / this.host.clientWidth) * span, span);
  }

  private wheel(event: WheelEvent): void {
    if (!this.trace || (event.deltaX === 0 && !event.ctrlKey && event.shiftKey)) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.look(this.from + (event.deltaX / this.host.clientWidth) * this.span, this.span);
    } else {
      this.zoom(Math.exp(event.deltaY / 400), event.offsetX);
    }
  }

  private press(event: PointerEvent): void {
    this.host.setPointerCapture(event.pointerId);
    this.drag = { x: event.clientX, from: this.from, moved: false };
  }

  private move(event: PointerEvent): void {
    if (!this.drag) return this.hover(this.sliceAt(event.offsetX, event.offsetY));
    const dx = event.clientX - this.drag.x;
    if (Math.abs(dx) > 3) this.drag.moved = true;
    if (this.drag.moved) this.look(this.drag.from - (dx / this.host.clientWidth) * this.span, this.span);
  }

  private release(event: PointerEvent): void {
    if (this.drag && !this.drag.moved) this.select(this.sliceAt(event.offsetX, event.offsetY), false);
    this.drag = undefined;
  }

  private hover(slice: number): void {
    if (slice === this.hovered) return;
    this.hovered = slice;
    this.onHover(slice);
    this.requestPaint();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.trace) return;
    const middle = this.host.clientWidth / 2;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => this.look(this.from - this.span / 8, this.span),
      ArrowRight: () => this.look(this.from + this.span / 8, this.span),
      "+": () => this.zoom(0.6, middle),
      "=": () => this.zoom(0.6, middle),
      "-": () => this.zoom(1 / 0.6, middle),
      "0": () => this.all(),
      n: () => this.step(1),
      p: () => this.step(-1),
      Enter: () => this.selected >= 0 && this.select(this.selected, true),
      Escape: () => this.select(-1, false),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /* The next or the last slice of the selected one's lane. */
  private step(by: number): void {
    const to = this.selected < 0 ? this.firstInView() : this.selected + by;
    if (this.trace && to >= 0 && to < this.trace.start.length) this.select(to, false);
  }

  private firstInView(): number {
    const lanes = this.trace!.laneFirst[0] ?? [0, 0];
    return this.firstEndingAfter(lanes[0]!, lanes[1]!, this.from);
  }

  private height(): number {
    const lanes = this.trace?.threads.reduce((sum, t) => sum + HEAD + t.depth * LANE + 6, 0) ?? 0;
    return RULER + lanes;
  }

  /* First slice of [low, high) that ends after t: slices of a lane neither overlap nor go back. */
  private firstEndingAfter(low: number, high: number, t: number): number {
    const { start, length } = this.trace!;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (start[middle]! + length[middle]! <= t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private sliceAt(x: number, y: number): number {
    const { trace } = this;
    if (!trace) return -1;
    let top = RULER;
    for (const [t, thread] of trace.threads.entries()) {
      const lane = Math.floor((y - top - HEAD) / LANE);
      if (lane >= 0 && lane < thread.depth) {
        const lanes = trace.laneFirst[t]!;
        const perPixel = this.span / this.host.clientWidth;
        const i = this.firstEndingAfter(lanes[lane]!, lanes[lane + 1]!, this.from + (x - 1) * perPixel);
        return i < lanes[lane + 1]! && trace.start[i]! <= this.from + (x + 1) * perPixel ? i : -1;
      }
      top += HEAD + thread.depth * LANE + 6;
    }
    return -1;
  }

  private paint(): void {
    this.frame = 0;
    const { canvas, host, trace } = this;
    const width = host.clientWidth;
    if (width === 0) return;
    const height = this.height();
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    const ctx = canvas.getContext("2d")!;
    ctx.scale(devicePixelRatio, devicePixelRatio);
    if (!trace) return;
    const font = cssColour("--font");
    ctx.font = `11px ${font}`;
    ctx.textBaseline = "middle";
    this.paintRuler(ctx, width, height);
    const colours = Array.from({ length: COLOURS }, (_, i) => cssColour(`--series-${i + 1}`));
    let top = RULER;
    trace.threads.forEach((thread, t) => {
      ctx.fillStyle = cssColour("--muted");
      ctx.font = `600 11px ${font}`;
      ctx.fillText(thread.label, 6, top + HEAD / 2 + 1);
      ctx.font = `11px ${font}`;
      for (let lane = 0; lane < thread.depth; lane++) {
        this.paintLane(ctx, t, lane, top + HEAD + lane * LANE, width, colours);
      }
      top += HEAD + thread.depth * LANE + 6;
    });
  }

  private paintRuler(ctx: CanvasRenderingContext2D, width: number, height: number): void {
    const rough = (this.span / width) * 110;
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((x) => x * decade).find((x) => x >= rough)!;
    ctx.strokeStyle = cssColour("--grid");
    ctx.fillStyle = cssColour("--muted");
    for (let t = Math.ceil(this.from / step) * step; t < this.from + this.span; t += step) {
      const x = ((t - this.from) / this.span) * width;
      ctx.beginPath();
      ctx.moveTo(x, 0);
      ctx.lineTo(x, height);
      ctx.stroke();
      ctx.fillText(t === 0 ? "0" : rulerText(t, step), x + 4, RULER / 2);
    }
  }

  private paintLane(
    ctx: CanvasRenderingContext2D,
    t: number,
    lane: number,
    y: number,
    width: number,
    colours: string[],
  ): void {
    const { start, length, name, names, laneFirst } = this.trace!;
    const end = laneFirst[t]![lane + 1]!;
    const scale = width / this.span;
    const until = this.from + this.span;
    let i = this.firstEndingAfter(laneFirst[t]![lane]!, end, this.from);
    while (i < end && start[i]! < until) {
      const x = (start[i]! - this.from) * scale;
      const w = length[i]! * scale;
      const marked = i === this.selected || i === this.hovered;
      ctx.globalAlpha = marked ? 1 : 0.82;
      ctx.fillStyle = colours[name[i]! % COLOURS]!;
      ctx.fillRect(x, y, Math.max(w - (w > 3 ? 1 : 0), 0.6), LANE - 2);
      ctx.globalAlpha = 1;
      if (i === this.selected) {
        ctx.strokeStyle = cssColour("--text");
        ctx.lineWidth = 2;
        ctx.strokeRect(x + 1, y + 1, Math.max(w - 2, 1), LANE - 4);
        ctx.lineWidth = 1;
      }
      if (w > LABEL_FROM) this.paintLabel(ctx, names[name[i]!]!, Math.max(x, 0), y, Math.min(x + w, width));
      /* the next one that is not in the same pixel */
      i = w >= 1 ? i + 1 : Math.max(i + 1, this.firstEndingAfter(i + 1, end, this.from + (x + 1) / scale));
    }
  }

  private paintLabel(ctx: CanvasRenderingContext2D, text: string, from: number, y: number, to: number): void {
    const room = to - from - 8;
    if (room < LABEL_FROM - 10) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from + 3, y, room + 2, LANE);
    ctx.clip();
    ctx.fillStyle = cssColour("--surface");
    ctx.fillText(text, from + 5, y + LANE / 2);
    ctx.restore();
  }
}

function rulerText(us: number, step: number): string {
  if (step >= 1e5) return `${(us / 1e6).toFixed(step >= 1e6 ? 0 : 1)} s`;
  if (step >= 100) return `${(us / 1e3).toFixed(step >= 1e3 ? 0 : 1)} ms`;
  return step >= 0.1 ? `${us.toFixed(step >= 1 ? 0 : 1)} µs` : quantity(us / 1e6, "s");
}
