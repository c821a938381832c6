/* history.ts: the history view: runs the hub remembers, and one of them in full.
 *
 * The address holds the run, the metric, its resolution and the filter. What the hub cannot give is a sentence in the
 * place of what it would have given.
 */
import { byId, make, setText } from "../shared/dom";
import { count, dateTime, elapsed, NOT_MEASURED, pair, quantity } from "../shared/format";
import { type Cell, download, type Grid, type Titled } from "./grid";
import { fetchExport, fetchPoints, fetchRun, fetchRuns, type Run, type RunDetails, type RunMetric, Trouble } from "./history_api";
import { operationGrid, operationRows } from "./operations";
import { Panel } from "./panel";
import { placeHash, type Router } from "./router";
import { RunChart } from "./run_chart";
import { metricLabel } from "./table";

const MOST_POINTS = 500;
const MOST_OPERATIONS = 200;
const element = (id: string) => byId(id, HTMLElement);

export function runLabel(run: Run): string {
  return `${run.name || "(unnamed)"} · ${dateTime(run.started_ms)}`;
}

export function backendOf({ backend, tier, threads }: Run): string {
  const what = [backend, tier].filter(Boolean).join(" · ");
  return threads > 0 ? `${what} × ${threads}` : what;
}

/** "kernel time {kernel=tern_matmul}" */
export function seriesLabel({ name, labels }: RunMetric): string {
  const text = [...labels].map(([key, value]) => `${key}=${value}`).join(", ");
  return text ? `${metricLabel(name)} {${text}}` : metricLabel(name);
}

export function metricKey(metric: RunMetric): string {
  return metric.labels.size > 0 ? `${metric.name}${JSON.stringify(Object.fromEntries(metric.labels))}` : metric.name;
}

function lengthOf(run: Run): number {
  return (Number.isNaN(run.ended_ms) ? run.heard_ms : run.ended_ms) - run.started_ms;
}

function endOf(run: Run): string {
  if (Number.isNaN(run.ended_ms)) return "still running";
  return run.reason && run.reason !== "done" ? `ended: ${run.reason}` : "ended";
}

/** One sentence for whatever was thrown; what is no Trouble is our mistake and goes on. */
export function troubleText(error: unknown): string {
  if (error instanceof Trouble) return error.message;
  throw error;
}

export class HistoryView {
  private runs: Run[] = [];
  private details: RunDetails | undefined;
  private asked = 0; /* of several questions under way only the newest is answered */
  private readonly filter = byId("run-filter", HTMLInputElement);
  private readonly metric = byId("run-metric", HTMLSelectElement);
  private readonly resolution = byId("run-resolution", HTMLSelectElement);
  private readonly chart = new RunChart(element("run-chart"), (text) => setText(element("run-readout"), text));
  private readonly panels: Panel[];

  constructor(private readonly router: Router) {
    this.panels = [
      new Panel(element("run-metrics"), router, () => this.metricsGrid()),
      new Panel(element("run-history"), router, () => this.chart.grid()),
      new Panel(element("run-operations"), router, () => this.operationsGrid()),
    ];
    this.filter.oninput = () => {
      this.router.set({ filter: this.filter.value });
      this.showRuns();
    };
    this.metric.onchange = () => this.choose({ metric: this.metric.value });
    this.resolution.onchange = () => this.choose({ resolution: this.resolution.value });
    byId("runs-again", HTMLButtonElement).onclick = () => void this.load();
    for (const format of ["json", "csv"] as const) {
      byId(`run-${format}`, HTMLButtonElement).onclick = () => void this.export(format);
    }
  }

  restore(): void {
    for (const panel of this.panels) panel.restore();
    this.filter.value = this.router.get("filter");
    this.resolution.value = this.router.get("resolution") || "auto";
    if (this.resolution.selectedIndex < 0) this.resolution.value = "auto";
    void this.load();
  }

  restyle(): void {
    this.chart.restyle();
  }

  titled(): Titled[] {
    const columns = ["run", "name", "backend", "model", "host", "build"].map((name) => ({ name }));
    const times = [{ name: "started", unit: "date_ms" }, { name: "length", unit: "s" }, { name: "end" }];
    const rows = this.shownRuns().map((r): Cell[] => {
      return [r.id, r.name, backendOf(r), r.model, r.host, r.build, r.started_ms, lengthOf(r) / 1000, endOf(r)];
    });
    const runs = { title: "Runs", help: "", grid: { columns: [...columns, ...times], rows } };
    return this.details ? [runs, ...this.panels.map((panel) => panel.titled())] : [runs];
  }

  private choose(settings: Record<string, string>): void {
    this.router.set(settings);
    void this.loadPoints();
  }

  private async load(): Promise<void> {
    const mine = ++this.asked;
    this.say("runs-state", this.runs.length ? "" : "Asking the hub …");
    try {
      const runs = await fetchRuns();
      if (mine !== this.asked) return;
      this.runs = runs;
      this.say("runs-state", "");
    } catch (error) {
      if (mine !== this.asked) return;
      this.runs = [];
      this.say("runs-state", troubleText(error));
    }
    this.showRuns();
    await this.loadRun();
  }

  private async loadRun(): Promise<void> {
    const id = this.router.get("run");
    const mine = ++this.asked;
    if (this.details?.run.id !== id) this.details = undefined;
    this.showDetails();
    if (!id) return;
    try {
      const details = await fetchRun(id);
      if (mine !== this.asked) return;
      this.details = details;
      this.say("run-state", "");
    } catch (error) {
      if (mine === this.asked) this.say("run-state", troubleText(error));
      return;
    }
    this.showDetails();
    await this.loadPoints();
  }

  private async loadPoints(): Promise<void> {
    const { details } = this;
    const metric = details?.metrics.find((m) => metricKey(m) === this.metric.value);
    if (!details || !metric) return this.chart.clear();
    const mine = ++this.asked;
    try {
      const { points, resolution } = await fetchPoints(details.run.id, metric, this.resolution.value, MOST_POINTS);
      if (mine !== this.asked) return;
      const lost = details.gaps.length > 0 ? `, ${count(details.gaps.length, "gap")} marked red` : "";
      setText(element("run-metric-help"), `${metric.help}; ${count(points.length, "point")}, resolution ${resolution}${lost}`);
      this.say("points-state", points.length ? "" : "Nothing of this metric was kept. Take another one, or another resolution.");
      if (points.length > 0) this.chart.draw(metric, points, details.gaps);
      else this.chart.clear();
    } catch (error) {
      if (mine !== this.asked) return;
      this.chart.clear();
      this.say("points-state", troubleText(error));
    }
    for (const panel of this.panels) panel.update();
    element("run-chart").setAttribute("aria-label", `${seriesLabel(metric)} of ${runLabel(details.run)} over time`);
  }

  private say(id: string, text: string): void {
    element(id).hidden = text === "";
    setText(element(id), text);
  }

  private shownRuns(): Run[] {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.runs.filter((run) => {
      const text = [run.name, backendOf(run), run.model, run.host, run.build, dateTime(run.started_ms), run.id].join(" ");
      return words.every((word) => text.toLowerCase().includes(word));
    });
  }

  private showRuns(): void {
    const shown = this.shownRuns();
    const list = element("runs");
    const hadFocus = list.contains(document.activeElement);
    list.replaceChildren(
      ...shown.map((run) => {
        const li = make("li");
        const link = make("a");
        const keep = { filter: this.filter.value, metric: this.metric.value };
        link.href = placeHash("history", { run: run.id, ...Object.fromEntries(Object.entries(keep).filter(([, v]) => v)) });
        if (run.id === this.router.get("run")) link.setAttribute("aria-current", "true");
        const facts = [backendOf(run), run.model].filter(Boolean).join(" · ");
        const when = `${dateTime(run.started_ms)} · ${elapsed(lengthOf(run))} · ${endOf(run)}`;
        link.append(make("bdi", "run-name", run.name || "(unnamed)"), make("bdi", "muted", facts), make("span", "muted", when));
        li.append(link);
        return li;
      }),
    );
    if (hadFocus) list.querySelector<HTMLElement>("[aria-current]")?.focus();
    const none = this.runs.length === 0 ? "The hub has recorded no run yet. Start one with --track." : "No run matches the filter.";
    if (element("runs-state").hidden || shown.length > 0) this.say("runs-state", shown.length > 0 ? "" : none);
  }

  private showDetails(): void {
    const { details } = this;
    element("run-details").hidden = !details;
    const chosen = this.router.get("run") !== "";
    this.say("run-state", details ? "" : chosen ? "Asking the hub …" : "Choose a run on the left to see what it measured.");
    if (!details) return;
    const { run } = details;
    setText(element("run-title"), run.name || "(unnamed)");
    this.facts(run);
    const choices = details.metrics.map((m) => [metricKey(m), seriesLabel(m)] as const);
    const wanted = this.router.get("metric") || "time_per_output_token";
    this.metric.replaceChildren(...choices.map(([key, label]) => new Option(label, key, false, key === wanted)));
    byId("run-compare", HTMLAnchorElement).href = placeHash("compare", { a: run.id });
    const operations = [...details.operations].sort((a, b) => b.t_ms - a.t_ms).slice(0, MOST_OPERATIONS);
    element("run-operation-list").replaceChildren(...operations.flatMap((o) => operationRows(o)));
    this.say("run-no-operations", operations.length ? "" : "This run reported no operation.");
    this.showMetrics(details.metrics);
    for (const panel of this.panels) panel.update();
  }

  private facts(run: Run): void {
    const lost = run.lost_samples > 0 ? `, ${count(run.lost_samples, "sample")} lost` : "";
    const all: [string, string][] = [
      ["started", dateTime(run.started_ms)],
      ["length", `${elapsed(lengthOf(run))}, ${endOf(run)}`],
      ["backend", backendOf(run)],
      ["model", run.model],
      ["host", run.host],
      ["build", run.build],
      ["samples", Number.isNaN(run.samples) ? NOT_MEASURED : `${run.samples.toLocaleString("en-US")}${lost}`],
    ];
    element("run-facts").replaceChildren(
      ...all.map(([name, value]) => {
        const div = make("div");
        const dd = make("dd");
        dd.append(make("bdi", "", value || NOT_MEASURED));
        div.append(make("dt", "", name), dd);
        return div;
      }),
    );
  }

  private showMetrics(metrics: RunMetric[]): void {
    element("run-metric-rows").replaceChildren(
      ...metrics.map((m) => {
        const row = make("tr");
        const name = make("th");
        name.scope = "row";
        name.append(make("bdi", "", seriesLabel(m)));
        row.title = m.help;
        const counter = m.kind === "counter";
        const texts = [counter ? m.sum : m.mean, m.p50, m.p95].map((value) => quantity(value, m.unit));
        texts.push(counter ? NOT_MEASURED : pair(m.min, m.max, m.unit), m.n.toLocaleString("en-US"));
        row.append(name, ...texts.map((text) => make("td", "number", text)));
        return row;
      }),
    );
  }

  private metricsGrid(): Grid {
    const numbers = ["n", "sum", "mean", "p50", "p95", "p99", "min", "max"].map((name) => ({ name, unit: "" }));
    const rows = (this.details?.metrics ?? []).map((m): Cell[] => {
      return [seriesLabel(m), m.unit, m.n, m.sum, m.mean, m.p50, m.p95, m.p99, m.min, m.max];
    });
    return { columns: [{ name: "metric" }, { name: "unit" }, ...numbers], rows };
  }

  private operationsGrid(): Grid {
    const { details } = this;
    return operationGrid((details?.operations ?? []).map((operation) => ({ operation, producer: details!.run.name })));
  }

  private async export(format: "json" | "csv"): Promise<void> {
    if (!this.details) return;
    const { id } = this.details.run;
    try {
      download(`bitnet-run-${id}.${format}`, await fetchExport(id, format));
      this.say("export-state", "");
    } catch (error) {
      this.say("export-state", troubleText(error));
    }
  }
}
