/* live.ts: the live view: who reports, how fast, where the time goes, and what is wrong.
 *
 * Draws from the recorder's shown store: numbers four times a second, pictures in an animation frame, at most ten
 * times a second and not at all in a hidden tab or another view. The selected producer, metrics and range are settings of
 * the address. While disconnected the numbers stay, dimmed.
 */
import { byId, make, setText } from "../shared/dom";
import { unitLabel } from "../shared/format";
import { Breakdown, partsOf } from "./breakdown";
import { histogramView, lastView, LiveChart, rateView, type View } from "./charts";
import { DECODE_HELP, TPOT } from "./derive";
import { Ecdf } from "./ecdf";
import type { Recorder } from "./freeze";
import type { Titled } from "./grid";
import { HealthStrip } from "./health";
import { OperationList } from "./operations";
import { Panel } from "./panel";
import type { MetricInfo } from "./protocol";
import type { Router } from "./router";
import type { Producer } from "./store";
import { metricLabel, ProducerTable, swatch } from "./table";

const FRAME_EVERY_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100;
const RANGES = ["10", "30", "60"]; /* seconds; the hub replays a minute */
const DECODE_SPEED = "decode_speed"; /* the throughput panel's first choice, made of time_per_output_token */

const element = (id: string) => byId(id, HTMLElement);

export class LiveView {
  private readonly table = new ProducerTable(byId("producers", HTMLTableElement), (sel) => this.choose({ sel }));
  private readonly chart = new LiveChart(element("rate-chart"), rateView(TPOT), () => this.updateLegends());
  private readonly ecdf = new Ecdf(element("ecdf"), () => this.updateLegends());
  private readonly breakdown = new Breakdown(element("breakdown"));
  private readonly operations = new OperationList(element("operation-list"));
  private readonly health = new HealthStrip(element("health-list"));
  private readonly metric = byId("metric", HTMLSelectElement);
  private readonly dist = byId("dist", HTMLSelectElement);
  private readonly range = byId("range", HTMLSelectElement);
  private readonly panels: Panel[];
  private readonly now: Panel;
  private frame = 0;
  private drawnAt = -Infinity;

  constructor(
    private readonly recorder: Recorder,
    private readonly router: Router,
    private readonly viewNow: () => number,
  ) {
    this.now = new Panel(element("now"), router, () => this.table.grid());
    this.panels = [
      this.now,
      new Panel(element("throughput"), router, () => this.chart.grid()),
      new Panel(element("time"), router, () => this.breakdown.grid()),
      new Panel(element("latency"), router, () => this.ecdf.grid()),
      new Panel(element("requests"), router, () => this.operations.grid()),
      new Panel(element("health"), router, () => this.health.grid()),
    ];
    this.metric.onchange = () => this.choose({ metric: this.metric.value });
    this.dist.onchange = () => this.choose({ dist: this.dist.value });
    this.range.onchange = () => this.choose({ range: this.range.value });
  }

  /** Numbers, lists and choices. `connected`: whether the hub's word on states holds. */
  update(connected: boolean): void {
    const { shown } = this.recorder;
    const rows = shown.rows();
    this.updateChoices();
    this.table.update(rows, this.viewNow(), connected || this.recorder.frozen, this.selected());
    this.operations.update(shown.byTime());
    this.health.update(shown);
    const selected = this.selected();
    setText(element("time-of"), selected ? `${selected.key} ${selected.hello.name}` : "");
    this.breakdown.update(selected);
    for (const panel of this.panels) panel.update();
    this.requestDraw();
  }

  /** The address changed: shows what it says. */
  restore(): void {
    for (const panel of this.panels) panel.restore();
    this.range.value = RANGES.includes(this.router.get("range")) ? this.router.get("range") : "60";
    this.metric.dataset["names"] = "";
    this.dist.dataset["names"] = "";
    this.update(false);
  }

  restyle(): void {
    this.chart.restyle();
    this.requestDraw();
  }

  requestDraw(): void {
    if (!this.frame) this.frame = requestAnimationFrame((time) => this.drawWhenDue(time));
  }

  titled(): Titled[] {
    return this.panels.map((panel) => panel.titled());
  }

  private choose(settings: Record<string, string>): void {
    this.router.set(settings);
    this.describeChoices();
    this.drawnAt = -Infinity;
    this.update(document.body.dataset["link"] === "open");
  }

  /** The producer that the address names, or the first of the table that says where its time goes. */
  private selected(): Producer | undefined {
    const { shown } = this.recorder;
    const rows = shown.rows();
    return shown.producers.get(this.router.get("sel")) ?? rows.find((p) => partsOf(p.columns).length > 0) ?? rows[0];
  }

  private known(): Map<string, MetricInfo> {
    const all = new Map<string, MetricInfo>();
    for (const p of this.recorder.shown.rows()) {
      for (const [name, info] of p.hello.metrics) if (!all.has(name)) all.set(name, info);
    }
    return all;
  }

  /** The charts can show whatever the producers say they measure. */
  private updateChoices(): void {
    const metrics = [...this.known().values()].filter((info) => info.kind !== "counter");
    const lines: [string, string][] = metrics.map((info) => [info.name, metricLabel(info.name)]);
    this.offer(this.metric, "metric", [[DECODE_SPEED, "decode speed"], ...lines], DECODE_SPEED);
    const hists = metrics.filter((info) => info.kind === "hist");
    const gap = (info: MetricInfo) => (info.name === TPOT ? "gap between tokens" : metricLabel(info.name));
    this.offer(this.dist, "dist", hists.map((info) => [info.name, gap(info)]), TPOT);
  }

  private offer(select: HTMLSelectElement, setting: string, choices: [string, string][], first: string): void {
    const names = choices.map(([name]) => name).join();
    if (select.dataset["names"] === names) return;
    select.dataset["names"] = names;
    const wanted = this.router.get(setting) || first;
    select.replaceChildren(...choices.map(([name, label]) => new Option(label, name, false, name === wanted)));
    this.describeChoices();
  }

  private describeChoices(): void {
    setText(element("dist-help"), this.known().get(this.dist.value)?.help ?? "");
    const info = this.known().get(this.metric.value);
    setText(element("metric-help"), info ? info.help : DECODE_HELP);
    setText(element("metric-unit"), info ? (info.kind === "hist" ? "p50, shaded to p95" : unitLabel(info.unit)) : "tok/s");
    this.chart.setView(this.viewOf(info));
  }

  private viewOf(info: MetricInfo | undefined): View {
    if (!info) return rateView(TPOT);
    return info.kind === "hist" ? histogramView(info.name, info.unit) : lastView(info.name, info.unit);
  }

  private drawWhenDue(time: number): void {
    this.frame = 0;
    if (this.router.view !== "live" || this.recorder.shown.producers.size === 0) return;
    if (time - this.drawnAt < FRAME_EVERY_MS) return this.requestDraw();
    this.drawnAt = time;
    const rows = this.recorder.shown.rows();
    const spanMs = Number(this.range.value) * 1000;
    const now = this.viewNow();
    this.chart.draw(rows, now, spanMs);
    const info = this.known().get(this.dist.value);
    this.ecdf.draw(rows, this.dist.value, info?.unit ?? "s", now - spanMs, now);
    const empty = element("ecdf-empty");
    empty.hidden = !this.ecdf.isEmpty;
    setText(empty, `Nothing was measured in the last ${this.range.value} s. Ask for some text, or take a longer range.`);
    this.updateLegends();
  }

  private updateLegends(): void {
    this.updateLegend("rate-legend", this.chart.values());
    this.updateLegend("ecdf-legend", this.ecdf.values());
    const over = `over the last ${this.range.value} seconds`;
    this.describe("rate-chart", `${this.metric.selectedOptions[0]?.text ?? "decode speed"} ${over}`, "rate-legend");
    this.describe("ecdf", `distribution of ${this.dist.selectedOptions[0]?.text ?? ""} ${over}`, "ecdf-legend");
  }

  private updateLegend(id: string, values: [Producer, string][]): void {
    const list = element(id);
    while (list.children.length > values.length) list.lastElementChild!.remove();
    values.forEach(([p, value], i) => {
      let item = list.children[i] as HTMLElement | undefined;
      if (!item) {
        item = make("li");
        item.append(make("span"), make("bdi", "legend-name"), make("span", "legend-value"));
        list.append(item);
      }
      const [key, name, number] = [...item.children] as HTMLElement[];
      if (key!.textContent !== p.key) key!.replaceWith(swatch(p));
      setText(name!, p.hello.name);
      setText(number!, value);
    });
  }

  private describe(id: string, what: string, legend: string): void {
    const items = [...element(legend).children].map((li) =>
      [...li.children]
        .slice(1)
        .map((e) => e.textContent)
        .join(" "),
    );
    const label = `${what}: ${items.join(", ") || "nothing measured"}`;
    const chart = element(id);
    if (chart.getAttribute("aria-label") !== label) chart.setAttribute("aria-label", label);
  }
}
