/* compare.ts: the compare view: two runs, what was different about them, and each metric in both.
 *
 * Differences of the environment come first, because a ratio between two machines is not the effect of a change.
 * The address holds both runs and the smallest effect asked about.
 */
import { byId, make, setText } from "../shared/dom";
import { dateTime, NOT_MEASURED, pair, quantity } from "../shared/format";
import type { Cell, Grid, Titled } from "./grid";
import { backendOf, metricKey, runLabel, seriesLabel, troubleText } from "./history";
import { fetchPoints, fetchRun, fetchRuns, type Point, type Run, type RunDetails, type RunMetric } from "./history_api";
import { Panel } from "./panel";
import { LEAST_WINDOWS, type Ratio, ratioOf, type Verdict, verdictOf } from "./ratio";
import type { Router } from "./router";

const DEFAULT_EFFECT = "2"; /* percent */
const MOST_POINTS = 500;
const AT_A_TIME = 4;
const element = (id: string) => byId(id, HTMLElement);

interface Row {
  a: RunMetric;
  b: RunMetric;
  ratio: Ratio | undefined;
  nA: number; /* windows */
  nB: number;
}

const ENVIRONMENT: [string, (run: Run) => string][] = [
  ["host", (run) => run.host],
  ["build", (run) => run.build],
  ["backend", (run) => run.backend],
  ["tier", (run) => run.tier],
  ["threads", (run) => (run.threads > 0 ? String(run.threads) : "")],
  ["model", (run) => run.model],
];

/** A verdict in words: of times less is faster, of rates more is. */
export function verdictText(verdict: Verdict, unit: string): string {
  if (verdict === "same" || verdict === "undecided") return verdict;
  if (unit === "s") return verdict === "lower" ? "faster" : "slower";
  if (unit.endsWith("/s") && unit !== "By/s") return verdict === "higher" ? "faster" : "slower";
  return verdict === "higher" ? "more" : "less";
}

const MARKS: Record<string, string> = { faster: "▲", slower: "▼", more: "△", less: "▽", same: "=", undecided: "?" };

function ratioText(ratio: Ratio | undefined): string {
  if (!ratio) return NOT_MEASURED;
  const digits = (x: number) => x.toFixed(x < 10 ? 3 : 1);
  return `${digits(ratio.ratio)} [${digits(ratio.low)}, ${digits(ratio.high)}]`;
}

const weights = (points: Point[]) => points.map(({ sum, n }) => ({ sum, n }));

export class CompareView {
  private runs: Run[] = [];
  private rows: Row[] = [];
  private both: [RunDetails, RunDetails] | undefined;
  private asked = 0;
  private readonly selects = { a: byId("compare-a", HTMLSelectElement), b: byId("compare-b", HTMLSelectElement) };
  private readonly effect = byId("effect", HTMLInputElement);
  private readonly panels: Panel[];

  constructor(private readonly router: Router) {
    this.panels = [
      new Panel(element("environment"), router, () => this.environmentGrid()),
      new Panel(element("comparison"), router, () => this.grid()),
    ];
    for (const side of ["a", "b"] as const) {
      this.selects[side].onchange = () => {
        this.router.set({ [side]: this.selects[side].value });
        void this.load();
      };
    }
    this.effect.oninput = () => {
      if (!this.effect.checkValidity()) return;
      this.router.set({ effect: this.effect.value === DEFAULT_EFFECT ? "" : this.effect.value });
      this.showRows();
    };
    byId("swap", HTMLButtonElement).onclick = () => {
      this.router.set({ a: this.router.get("b"), b: this.router.get("a") });
      void this.load();
    };
  }

  restore(): void {
    for (const panel of this.panels) panel.restore();
    this.effect.value = this.router.get("effect") || DEFAULT_EFFECT;
    void this.load();
  }

  restyle(): void {
    /* nothing here is drawn in colours of its own */
  }

  titled(): Titled[] {
    return this.both ? this.panels.map((panel) => panel.titled()) : [];
  }

  private async load(): Promise<void> {
    const mine = ++this.asked;
    const stillMine = () => mine === this.asked;
    this.both = undefined;
    this.rows = [];
    this.say("Asking the hub …");
    try {
      this.runs = await fetchRuns();
      if (!stillMine()) return;
      this.offer();
      const [a, b] = [this.router.get("a"), this.router.get("b")];
      if (!a || !b) return this.say(this.advice());
      const both = await Promise.all([fetchRun(a), fetchRun(b)]);
      if (!stillMine()) return;
      this.both = both;
      this.showEnvironment();
      await this.compareAll(both, stillMine);
      if (stillMine()) this.say("");
    } catch (error) {
      if (stillMine()) this.say(troubleText(error));
    }
  }

  private advice(): string {
    if (this.runs.length < 2) return "Comparing needs two recorded runs; run something twice with --track.";
    return "Choose run A, what is compared against, and run B, what is compared.";
  }

  private say(text: string): void {
    element("compare-state").hidden = text === "";
    setText(element("compare-state"), text);
    element("compared").hidden = !this.both;
  }

  private offer(): void {
    for (const side of ["a", "b"] as const) {
      const chosen = this.router.get(side);
      const options = this.runs.map((run) => new Option(`${runLabel(run)} · ${backendOf(run)}`, run.id, false, run.id === chosen));
      const none = new Option(chosen && !this.runs.some((r) => r.id === chosen) ? chosen : "Choose a run", chosen);
      if (!this.runs.some((run) => run.id === chosen)) options.unshift(none);
      this.selects[side].replaceChildren(...options);
      this.selects[side].value = chosen;
    }
  }

  /** Every metric that both runs have, a few questions at a time. */
  private async compareAll([a, b]: [RunDetails, RunDetails], stillMine: () => boolean): Promise<void> {
    const inB = new Map(b.metrics.map((m) => [metricKey(m), m]));
    const pairs = a.metrics.flatMap((m) => {
      const other = inB.get(metricKey(m));
      return other && other.unit === m.unit && m.kind === other.kind ? [[m, other] as const] : [];
    });
    const rows = new Map<RunMetric, Row>();
    for (const [m, other] of pairs) rows.set(m, { a: m, b: other, ratio: undefined, nA: 0, nB: 0 });
    this.rows = [...rows.values()];
    this.showRows();
    const waiting = pairs.filter(([m]) => m.kind !== "counter");
    const worker = async () => {
      for (let next = waiting.shift(); next && stillMine(); next = waiting.shift()) {
        const [m] = next;
        const [left, right] = await Promise.all([a, b].map(({ run }) => fetchPoints(run.id, m, "auto", MOST_POINTS)));
        const row = rows.get(m)!;
        row.nA = left!.points.length;
        row.nB = right!.points.length;
        row.ratio = ratioOf(weights(left!.points), weights(right!.points));
        if (stillMine()) this.showRows();
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  }

  private showEnvironment(): void {
    const [a, b] = this.both!.map(({ run }) => run) as [Run, Run];
    const different = ENVIRONMENT.filter(([, of]) => of(a) !== of(b));
    const names = different.map(([name]) => name);
    const machines = names.includes("host") || names.length > 1;
    const warning = `The runs differ in ${names.join(", ")}: a ratio below may come from that and not from a change.`;
    const one = `The runs differ in ${names.join(", ")} and in nothing else that was recorded.`;
    const text = names.length === 0 ? "Same host, build, backend, tier, threads and model." : machines ? warning : one;
    setText(element("environment-verdict"), text);
    element("environment-verdict").dataset["level"] = names.length === 0 ? "good" : machines ? "warn" : "unknown";
    element("environment-rows").replaceChildren(
      ...ENVIRONMENT.map(([name, of]) => {
        const row = make("tr", of(a) === of(b) ? "" : "differs");
        const th = make("th", "", name);
        th.scope = "row";
        row.append(th, ...[a, b].map((run) => this.textCell(of(run) || NOT_MEASURED)));
        row.append(make("td", "mark", of(a) === of(b) ? "=" : "≠ differs"));
        return row;
      }),
    );
  }

  private textCell(text: string): HTMLElement {
    const td = make("td");
    td.append(make("bdi", "", text));
    return td;
  }

  private effectShare(): number {
    return Number(this.effect.value) / 100;
  }

  private showRows(): void {
    element("comparison-rows").replaceChildren(
      ...this.rows.map((row) => {
        const tr = make("tr");
        const th = make("th");
        th.scope = "row";
        th.append(make("bdi", "", seriesLabel(row.a)));
        tr.title = row.a.help;
        const verdict = this.verdict(row);
        const cells = [this.valueText(row.a), this.valueText(row.b), ratioText(row.ratio), row.ratio || row.nA > 0 ? `${row.nA} + ${row.nB}` : NOT_MEASURED];
        tr.append(th, ...cells.map((text) => make("td", "number", text)));
        const td = make("td", "verdict");
        td.dataset["verdict"] = verdict;
        td.title = verdict ? "" : `fewer than ${LEAST_WINDOWS} windows, or a total that has no mean`;
        setText(td, verdict ? `${MARKS[verdict]} ${verdict}` : NOT_MEASURED);
        tr.append(td);
        return tr;
      }),
    );
    for (const panel of this.panels) panel.update();
  }

  private valueText(m: RunMetric): string {
    if (m.kind === "counter") return quantity(m.sum, m.unit);
    return m.kind === "hist" ? pair(m.p50, m.p95, m.unit) : quantity(m.mean, m.unit);
  }

  private verdict({ a, ratio }: Row): string {
    return ratio ? verdictText(verdictOf(ratio, this.effectShare()), a.unit) : "";
  }

  private environmentGrid(): Grid {
    const columns = ["", "A", "B"].map((name) => ({ name }));
    const runs = this.both?.map(({ run }) => run) ?? [];
    const started = ["started", ...runs.map((run) => dateTime(run.started_ms))];
    return { columns, rows: [started, ...ENVIRONMENT.map(([name, of]) => [name, ...runs.map(of)])] };
  }

  private grid(): Grid {
    const names = ["A mean", "A p50", "A p95", "B mean", "B p50", "B p95", "B / A", "low", "high", "n of A", "n of B"];
    const columns = [{ name: "metric" }, { name: "unit" }, ...names.map((name) => ({ name, unit: "" })), { name: "verdict" }];
    const rows = this.rows.map((row): Cell[] => {
      const { a, b, ratio, nA, nB } = row;
      const of = (m: RunMetric) => [m.kind === "counter" ? m.sum : m.mean, m.p50, m.p95];
      const interval = [ratio?.ratio ?? null, ratio?.low ?? null, ratio?.high ?? null];
      return [seriesLabel(a), a.unit, ...of(a), ...of(b), ...interval, nA, nB, this.verdict(row)];
    });
    return { columns, rows };
  }
}
