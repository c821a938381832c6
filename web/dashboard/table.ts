/* table.ts: one row per producer, and under it, on demand, every metric it reports.
 *
 * Cells are written only when their text changed. Names, tiers and models come from strangers and are set
 * as text. What a number means is the `title` of its cell and of its column, taken from hello's table.
 */
import { make, setText } from "../shared/dom";
import { age, count, decimal, NOT_MEASURED, pair, quantity } from "../shared/format";
import { binned, seriesColour, seriesDash } from "./charts";
import {
  DECODE_HELP,
  DECODE_SPAN,
  decodeRate,
  energyPerToken,
  lastValue,
  MEMORY,
  QUANTILES_HELP,
  rate,
  recentQuantiles,
  sumSince,
  TPOT,
  TTFT,
} from "./derive";
import type { Cell, Grid } from "./grid";
import type { MetricInfo } from "./protocol";
import { Spark } from "./spark";
import type { Producer } from "./store";

/* In the order of index.html's header cells. */
const COLUMNS = ["backend", "model", "decode", "ttft", "tpot", "memory", "energy", "state"] as const;
type ColumnName = (typeof COLUMNS)[number];
const NUMERIC = new Set<ColumnName>(["decode", "ttft", "tpot", "memory", "energy"]);
const MINUTE_MS = 60_000;
const SPARK_BINS = 5; /* of the chart's bins are one point of a sparkline: a second */
const MOST_SERIES = 50; /* of a producer in its details */

/** "time_per_output_token" -> "time per output token". */
export function metricLabel(name: string): string {
  return name.replaceAll("_", " ");
}

/** The line's letter, colour and dash pattern, as a small picture. */
export function swatch(p: Producer): HTMLElement {
  const badge = make("span", "key", p.key);
  badge.style.setProperty("--key", `var(${seriesColour(p.slot)})`);
  badge.dataset["dash"] = String(seriesDash(p.slot).length);
  badge.setAttribute("aria-hidden", "true");
  return badge;
}

/** "cpu · avx512vnni × 2": what computes, and with how many threads. */
export function backendText({ hello }: Producer): string {
  const what = [hello.backend, hello.tier].filter(Boolean).join(" · ");
  return hello.threads > 0 ? `${what} × ${hello.threads}` : what;
}

/* Means of SPARK_BINS bins each; null where none of them has a value. */
function seconds(bins: (number | null)[]): (number | null)[] {
  const out: (number | null)[] = [];
  for (let i = 0; i + SPARK_BINS <= bins.length; i += SPARK_BINS) {
    const values = bins.slice(i, i + SPARK_BINS).filter((v) => v !== null);
    out.push(values.length > 0 ? values.reduce((a, b) => a + b) / values.length : null);
  }
  return out;
}

class Row {
  readonly tr = make("tr");
  readonly details = make("tr", "details");
  private readonly cells = new Map<ColumnName, HTMLTableCellElement>();
  private readonly name = make("bdi", "producer-name");
  private readonly note = make("span", "note");
  private readonly toggle = make("button", "toggle");
  private readonly metrics = make("tbody");
  private readonly state = make("span", "state");
  private readonly spark = new Spark();
  private readonly decode = make("span");
  private hubNow = 0;

  constructor(
    private p: Producer,
    labels: Map<ColumnName, string>,
    onSelect: (instance: string) => void,
  ) {
    this.tr.dataset["instance"] = p.hello.instance;
    const head = make("th", "producer");
    head.scope = "row";
    this.toggle.type = "button";
    this.toggle.append(swatch(p), this.name);
    this.toggle.title = "Select this producer and show every metric of it";
    this.toggle.onclick = () => {
      onSelect(this.p.hello.instance);
      this.setOpen(this.details.hidden);
    };
    this.tr.onclick = (event) => {
      if (!this.toggle.contains(event.target as Node)) onSelect(this.p.hello.instance);
    };
    head.append(this.toggle, this.note);
    this.tr.append(head);
    for (const column of COLUMNS) {
      const cell = make("td", NUMERIC.has(column) ? "number" : "");
      cell.dataset["column"] = column;
      cell.dataset["label"] = labels.get(column) ?? "";
      this.cells.set(column, cell);
      this.tr.append(cell);
    }
    this.cell("state").append(this.state);
    this.cell("decode").append(this.spark.svg, this.decode);
    this.spark.svg.style.setProperty("--key", `var(${seriesColour(p.slot)})`);
    this.buildDetails();
    this.setOpen(false);
  }

  /** `connected`: whether what the hub said of the producer's state still holds. */
  update(p: Producer, hubNow: number, connected: boolean, selected: boolean): void {
    this.p = p;
    const { hello, columns } = p;
    this.hubNow = hubNow;
    setText(this.name, hello.name || "(unnamed)");
    this.put("backend", backendText(p));
    this.put("model", hello.model);
    this.cell("model").title = hello.model;
    this.cell("backend").title = [hello.host, hello.build].filter(Boolean).join(" · ");
    setText(this.decode, quantity(decodeRate(columns), "{token}/s"));
    this.spark.draw(seconds(binned(p, TPOT, hubNow - MINUTE_MS, rate)));
    const [ttft50, ttft95] = recentQuantiles(columns, TTFT, [0.5, 0.95]);
    this.put("ttft", pair(ttft50, ttft95, this.info(TTFT)?.unit ?? "s"));
    const [gap50, gap99] = recentQuantiles(columns, TPOT, [0.5, 0.99]);
    this.put("tpot", pair(gap50, gap99, this.info(TPOT)?.unit ?? "s"));
    this.put("memory", quantity(lastValue(columns, MEMORY), this.info(MEMORY)?.unit ?? "By"));
    this.put("energy", quantity(this.energy(), "J/{token}"));
    this.updateState(hubNow, connected);
    this.updateNote();
    this.tr.classList.toggle("selected", selected);
    if (!this.details.hidden) this.updateDetails();
  }

  private energy(): number {
    return energyPerToken(this.p.columns, this.hubNow + this.p.clockOffMs - MINUTE_MS);
  }

  private info(name: string): MetricInfo | undefined {
    return this.p.hello.metrics.get(name);
  }

  private cell(column: ColumnName): HTMLTableCellElement {
    return this.cells.get(column)!;
  }

  private put(column: ColumnName, text: string): void {
    setText(this.cell(column), text || NOT_MEASURED);
  }

  private updateState(hubNow: number, connected: boolean): void {
    const state = connected ? this.p.state(hubNow) : "unknown";
    const since = this.p.stateAge(hubNow);
    const reason = state === "ended" && this.p.endReason !== "done" ? ` (${this.p.endReason})` : "";
    const aged = connected && state !== "live" && Number.isFinite(since);
    setText(this.state, `${state}${reason}${aged ? ` ${age(since)}` : ""}`);
    if (this.tr.dataset["state"] !== state) this.tr.dataset["state"] = state;
  }

  private updateNote(): void {
    const { p } = this;
    const notes: string[] = [];
    if (p.dropped > 0) notes.push(`${count(p.dropped, "record")} dropped`);
    if (p.gaps.length > 0) notes.push(count(p.gaps.length, "gap"));
    if (p.missed > 0) notes.push(`${count(p.missed, "message")} missed`);
    if (Math.abs(p.clockOffMs) > 1000) {
      notes.push(`clock ${p.clockOffMs > 0 ? "+" : "−"}${decimal(Math.abs(p.clockOffMs) / 1000)} s`);
    }
    setText(this.note, notes.join(" · "));
    this.note.title = notes.length
      ? "dropped: the producer's ring was full; gap: messages that its spool had no room for; missed: messages that did " +
        "not reach this page; clock: the producer's clock against the hub's, taken out of the charts"
      : "";
  }

  private setOpen(open: boolean): void {
    this.details.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (open) this.updateDetails();
  }

  private buildDetails(): void {
    const cell = make("td");
    cell.colSpan = COLUMNS.length + 1;
    const table = make("table", "metrics");
    const head = make("tr");
    for (const title of ["metric", "latest", "p50 / p95", "sum, last minute", "definition"]) {
      const th = make("th", "", title);
      th.scope = "col";
      head.append(th);
    }
    const thead = make("thead");
    thead.append(head);
    table.append(thead, this.metrics);
    cell.append(table);
    this.details.append(cell);
  }

  private updateDetails(): void {
    const { hello, columns } = this.p;
    const minuteAgo = this.hubNow + this.p.clockOffMs - MINUTE_MS;
    const rows = [...hello.metrics.values()].map((info) => {
      const [p50, p95] = info.kind === "hist" ? recentQuantiles(columns, info.name, [0.5, 0.95]) : [];
      const sum = info.kind === "counter" ? quantity(sumSince(columns, info.name, minuteAgo), info.unit) : "";
      const last = info.kind === "counter" ? "" : quantity(lastValue(columns, info.name), info.unit);
      return [metricLabel(info.name), last, pair(p50, p95, info.unit), sum, info.help];
    });
    const series = [...columns.series.values()];
    for (const { name, labels, t, sum } of series.slice(0, MOST_SERIES)) {
      const unit = this.info(name)?.unit ?? "";
      const recent = t.reduce((total, at, i) => (at >= minuteAgo ? total + sum[i]! : total), 0);
      const text = [...labels].map(([key, value]) => `${key}=${value}`).join(", ");
      rows.push([`${metricLabel(name)} {${text}}`, "", "", quantity(recent, unit), ""]);
    }
    const more = series.length - MOST_SERIES;
    if (more > 0) rows.push([`${more.toLocaleString("en-US")} more series`, "", "", "", ""]);
    while (this.metrics.rows.length > rows.length) this.metrics.deleteRow(-1);
    rows.forEach((texts, r) => {
      const row = this.metrics.rows[r] ?? this.metrics.insertRow();
      texts.forEach((text, c) => {
        const cell = row.cells[c] ?? row.insertCell();
        cell.dir = "auto";
        setText(cell, text || NOT_MEASURED);
      });
    });
  }
}

export class ProducerTable {
  private readonly rows = new Map<string, Row>(); /* by instance */
  private readonly labels = new Map<ColumnName, string>();
  private order = "";
  private shown: Producer[] = [];
  private hubNow = 0;

  constructor(
    private readonly table: HTMLTableElement,
    private readonly onSelect: (instance: string) => void,
  ) {
    const heads = table.tHead!.rows[0]!.cells;
    COLUMNS.forEach((column, i) => this.labels.set(column, heads[i + 1]!.textContent ?? ""));
  }

  update(producers: Producer[], hubNow: number, connected: boolean, selected: Producer | undefined): void {
    this.shown = producers;
    this.hubNow = hubNow;
    const here = new Set(producers.map((p) => p.hello.instance));
    for (const [instance, row] of this.rows) {
      if (here.has(instance)) continue;
      row.tr.remove();
      row.details.remove();
      this.rows.delete(instance);
    }
    for (const p of producers) {
      const { instance } = p.hello;
      if (!this.rows.has(instance)) this.rows.set(instance, new Row(p, this.labels, this.onSelect));
      this.rows.get(instance)!.update(p, hubNow, connected, p === selected);
    }
    const order = producers.map((p) => p.hello.instance).join();
    if (order !== this.order) {
      this.order = order;
      const body = this.table.tBodies[0]!;
      for (const { hello } of producers) body.append(this.rows.get(hello.instance)!.tr, this.rows.get(hello.instance)!.details);
    }
    this.explain(producers);
  }

  grid(): Grid {
    const text = ["producer", "backend", "model"].map((name) => ({ name }));
    const times = ["TTFT p50", "TTFT p95", "gap p50", "gap p99"].map((name) => ({ name, unit: "s" }));
    const columns = [
      ...text,
      { name: "decode", unit: "{token}/s" },
      ...times,
      { name: "memory", unit: "By" },
      { name: "energy", unit: "J/{token}" },
      { name: "state" },
    ];
    const rows = this.shown.map((p): Cell[] => [
      `${p.key} ${p.hello.name}`,
      backendText(p),
      p.hello.model,
      decodeRate(p.columns),
      ...recentQuantiles(p.columns, TTFT, [0.5, 0.95]),
      ...recentQuantiles(p.columns, TPOT, [0.5, 0.99]),
      lastValue(p.columns, MEMORY),
      energyPerToken(p.columns, this.hubNow + p.clockOffMs - MINUTE_MS),
      p.state(this.hubNow),
    ]);
    return { columns, rows };
  }

  /* Column titles say what the column measures, in the producers' own words. */
  private explain(producers: Producer[]): void {
    const info = (name: string) => producers.map((p) => p.hello.metrics.get(name)).find(Boolean);
    const titles: Partial<Record<ColumnName, string>> = {
      decode: `${DECODE_HELP}; ${DECODE_SPAN}; the line is the last minute`,
      ttft: info(TTFT)?.help ? `${info(TTFT)!.help}; ${QUANTILES_HELP}` : "",
      tpot: info(TPOT)?.help ? `${info(TPOT)!.help}; ${QUANTILES_HELP}` : "",
      memory: info(MEMORY)?.help ?? "",
      energy: "joules of the last minute divided by its tokens",
    };
    for (const [column, title] of Object.entries(titles)) {
      const head = this.table.tHead!.rows[0]!.cells[COLUMNS.indexOf(column as ColumnName) + 1]!;
      if (head.title !== title) head.title = title;
      for (const row of this.table.querySelectorAll<HTMLElement>(`td[data-column="${column}"]`)) {
        if (row.title !== title) row.title = title;
      }
    }
  }
}
