/* breakdown.ts: where the time of one producer goes, as bars.
 *
 * Kernels, where it is profiled: the series kernel_time and kernel_bytes, summed over the last minute in which
 * there were any. Otherwise the stages of its requests. Shares are of the listed times together, which is not
 * the wall clock: what was not measured is not in them.
 */
import { make, setText } from "../shared/dom";
import { percent, quantity } from "../shared/format";
import type { Columns } from "./columns";
import { decodeRate, DECODE_RATE, KERNEL_BYTES, KERNEL_LEAST, KERNEL_TIME, newest } from "./derive";
import type { Cell, Grid } from "./grid";
import type { Producer } from "./store";

const MINUTE_MS = 60_000;
const MOST_BARS = 8;
const STAGES = ["tokenize_time", "prefill_time", "decode_time", "sample_time", "detokenize_time"];

interface Part {
  label: string;
  seconds: number;
  bytes: number; /* NaN when not measured */
  least: number; /* seconds that the machine's bounds allow; NaN when not known */
}

function sumsByKernel(columns: Columns, name: string): Map<string, number> {
  const sums = new Map<string, number>();
  const all = [...columns.series.values()].filter((s) => s.name === name);
  const end = Math.max(...all.map((s) => s.t.at(-1) ?? -Infinity));
  for (const series of all) {
    const label = series.labels.get("kernel") ?? ([...series.labels.values()].join(" ") || "(no label)");
    let sum = 0;
    for (let i = series.t.length - 1; i >= 0 && series.t[i]! > end - MINUTE_MS; i--) sum += series.sum[i]!;
    if (sum > 0) sums.set(label, (sums.get(label) ?? 0) + sum);
  }
  return sums;
}

/** Where its time went, longest first; what is beyond the eighth is one part. */
export function partsOf(columns: Columns): Part[] {
  const bytes = sumsByKernel(columns, KERNEL_BYTES);
  const kernels = [...sumsByKernel(columns, KERNEL_TIME)];
  const least = sumsByKernel(columns, KERNEL_LEAST);
  const parts = kernels.map(([label, seconds]) => ({
    label,
    seconds,
    bytes: bytes.get(label) ?? NaN,
    least: least.get(label) ?? NaN,
  }));
  parts.sort((a, b) => b.seconds - a.seconds);
  if (parts.length > MOST_BARS) {
    const rest = parts.splice(MOST_BARS - 1);
    const seconds = rest.reduce((sum, part) => sum + part.seconds, 0);
    parts.push({ label: `${rest.length} others`, seconds, bytes: NaN, least: NaN });
  }
  return parts.length > 0 ? parts : stagesOf(columns);
}

function stagesOf(columns: Columns): Part[] {
  return STAGES.flatMap((name) => {
    const metric = columns.metrics.get(name);
    const end = metric ? newest(columns, metric) : -1;
    let seconds = 0;
    for (let i = end; metric && i >= 0 && columns.t[i]! > columns.t[end]! - MINUTE_MS; i--) {
      if (!Number.isNaN(metric.n[i]!)) seconds += metric.sum[i]!;
    }
    const label = name.replace(/_time$/, "").replace("decode", "decode (forward passes)");
    return seconds > 0 ? [{ label, seconds, bytes: NaN, least: NaN }] : [];
  }).sort((a, b) => b.seconds - a.seconds);
}

export class Breakdown {
  private parts: Part[] = [];
  private readonly bars = make("ol", "bars");
  private readonly roofline = make("p", "roofline");
  private readonly empty = make("p", "nothing");

  constructor(host: HTMLElement) {
    host.append(this.roofline, this.bars, this.empty);
  }

  update(p: Producer | undefined): void {
    this.parts = p ? partsOf(p.columns) : [];
    const total = this.total();
    while (this.bars.children.length > this.parts.length) this.bars.lastElementChild!.remove();
    this.parts.forEach((part, i) => this.putBar(i, part, part.seconds / total));
    this.putRoofline(p);
    this.empty.hidden = this.parts.length > 0;
    const advice = "It reports no times of its parts: run it with --profile.";
    setText(this.empty, p ? advice : "Choose a producer in the table above.");
  }

  grid(): Grid {
    const total = this.total();
    const columns = [
      { name: "part" },
      { name: "time", unit: "s" },
      { name: "share", unit: "1" },
      { name: "rate", unit: "By/s" },
      { name: "of the roofline", unit: "1" },
    ];
    const rows = this.parts.map((p): Cell[] =>
      [p.label, p.seconds, p.seconds / total, p.bytes / p.seconds, p.least / p.seconds]);
    return { columns, rows };
  }

  private total(): number {
    return this.parts.reduce((sum, part) => sum + part.seconds, 0);
  }

  private putBar(i: number, part: Part, share: number): void {
    let item = this.bars.children[i] as HTMLElement | undefined;
    if (!item) {
      item = make("li");
      item.append(make("bdi", "part"), make("span", "bar"), make("span", "share"), make("span", "speed"));
      this.bars.append(item);
    }
    const [label, bar, text, speed] = [...item.children] as HTMLElement[];
    setText(label!, part.label);
    label!.title = part.label;
    bar!.style.setProperty("--share", String(share));
    setText(text!, percent(share));
    const rates = this.parts.some((p) => !Number.isNaN(p.bytes));
    const speedText = rates ? quantity(part.bytes / part.seconds, "By/s") : quantity(part.seconds, "s");
    const reached = part.least / part.seconds;
    setText(speed!, Number.isNaN(reached) ? speedText : `${speedText} · ${percent(reached)}`);
    speed!.title = Number.isNaN(reached) ? "" : `${percent(reached)} of the roofline: of what this machine allows`;
  }

  private putRoofline(p: Producer | undefined): void {
    const expected = p?.hello.expected.get(DECODE_RATE);
    const rate = p ? decodeRate(p.columns) : NaN;
    this.roofline.hidden = expected === undefined || Number.isNaN(rate);
    if (expected === undefined) return;
    const text = `Decode reaches ${percent(rate / expected)} of the roofline, ${quantity(expected, "{token}/s")}.`;
    setText(this.roofline, text);
    this.roofline.title = "the rate that this machine's measured memory bandwidth and peak allow this model";
  }
}
