/* table.ts: one row per producer, and under it, on demand, every metric it reports.
 *
 * Cells are written only when their text changed. Names, tiers and models come from strangers and are set
 * as text. What a number means is the `title` of its cell and of its column, taken from hello's table.
 */
import { make, setText } from "../shared/dom";
import { age, count, decimal, NOT_MEASURED, quantity } from "../shared/format";
import { seriesColour, seriesDash, SPAN_MS } from "./charts";
import {
  DECODE_HELP,
  DECODE_SPAN,
  decodeRate,
  lastValue,
  MEMORY,
  QUANTILES_HELP,
  recentQuantiles,
  sumSince,
  TPOT,
  TTFT,
} from "./derive";
import type { MetricInfo } from "./protocol";
import type { Producer } from "./store";

/* In the order of index.html's header cells. */
const COLUMNS = ["backend", "threads", "model", "decode", "ttft", "tpot", "memory", "state"] as const;
type ColumnName = (typeof COLUMNS)[number];
const NUMERIC = new Set<ColumnName>(["threads", "decode", "ttft", "tpot", "memory"]);

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

class Row {
  readonly tr = make("tr");
  readonly details = make("tr", "details");
  private readonly cells = new Map<ColumnName, HTMLTableCellElement>();
  private readonly name = make("span", "producer-name");
  private readonly note = make("span", "note");
  private readonly toggle = make("button", "toggle");
  private readonly metrics = make("tbody");
  private readonly state = make("span", "state");
  private hubNow = 0;

  constructor(
    private readonly p: Producer,
    labels: Map<ColumnName, string>,
  ) {
    this.tr.dataset["instance"] = p.hello.instance;
    const head = make("th", "producer");
    head.scope = "row";
    this.toggle.type = "button";
    this.toggle.append(swatch(p), this.name);
    this.toggle.title = "Show every metric of this producer";
    this.toggle.onclick = () => this.setOpen(this.details.hidden);
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
    this.buildDetails();
    this.setOpen(false);
  }

  /** `connected`: whether what the hub said of the producer's state still holds. */
  update(hubNow: number, connected: boolean): void {
    const { p } = this;
    const { hello, columns } = p;
    this.hubNow = hubNow;
    setText(this.name, hello.name || "(unnamed)");
    this.put("backend", [hello.backend, hello.tier].filter(Boolean).join(" · "));
    this.put("threads", hello.threads > 0 ? String(hello.threads) : "");
    this.put("model", hello.model);
    this.cell("model").title = hello.model;
    this.put("decode", quantity(decodeRate(columns), "{token}/s"));
    this.put("ttft", quantity(lastValue(columns, TTFT), this.info(TTFT)?.unit ?? "s"));
    const unit = this.info(TPOT)?.unit ?? "s";
    const quantiles = recentQuantiles(columns, TPOT, [0.5, 0.95]).map((value) => quantity(value, unit));
    this.put("tpot", quantiles.every((q) => q === NOT_MEASURED) ? "" : quantiles.join(" / "));
    this.put("memory", quantity(lastValue(columns, MEMORY), this.info(MEMORY)?.unit ?? "By"));
    this.updateState(hubNow, connected);
    this.updateNote();
    if (!this.details.hidden) this.updateDetails();
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
    if (p.missed > 0) notes.push(`${count(p.missed, "message")} missed`);
    if (Math.abs(p.clockOffMs) > 1000) {
      notes.push(`clock ${p.clockOffMs > 0 ? "+" : "−"}${decimal(Math.abs(p.clockOffMs) / 1000)} s`);
    }
    setText(this.note, notes.join(" · "));
    this.note.title = notes.length
      ? "dropped: the producer's ring was full; missed: messages that did not reach this page; " +
        "clock: the producer's clock against the hub's, taken out of the charts"
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
    const minuteAgo = this.hubNow + this.p.clockOffMs - SPAN_MS;
    const rows = [...hello.metrics.values()].map((info) => {
      const [p50, p95] = info.kind === "hist" ? recentQuantiles(columns, info.name, [0.5, 0.95]) : [];
      const both = p50 === undefined || Number.isNaN(p50) ? "" : `${quantity(p50, info.unit)} / ${quantity(p95, info.unit)}`;
      const sum = info.kind === "counter" ? quantity(sumSince(columns, info.name, minuteAgo), info.unit) : "";
      const last = info.kind === "counter" ? "" : quantity(lastValue(columns, info.name), info.unit);
      return [metricLabel(info.name), last, both, sum, info.help];
    });
    while (this.metrics.rows.length > rows.length) this.metrics.deleteRow(-1);
    rows.forEach((texts, r) => {
      const row = this.metrics.rows[r] ?? this.metrics.insertRow();
      texts.forEach((text, c) => setText(row.cells[c] ?? row.insertCell(), text || NOT_MEASURED));
    });
  }
}

export class ProducerTable {
  private readonly rows = new Map<Producer, Row>();
  private readonly labels = new Map<ColumnName, string>();
  private order = "";

  constructor(private readonly table: HTMLTableElement) {
    const heads = table.tHead!.rows[0]!.cells;
    COLUMNS.forEach((column, i) => this.labels.set(column, heads[i + 1]!.textContent ?? ""));
  }

  update(producers: Producer[], hubNow: number, connected: boolean): void {
    for (const [p, row] of this.rows) {
      if (producers.includes(p)) continue;
      row.tr.remove();
      row.details.remove();
      this.rows.delete(p);
    }
    for (const p of producers) {
      if (!this.rows.has(p)) this.rows.set(p, new Row(p, this.labels));
      this.rows.get(p)!.update(hubNow, connected);
    }
    const order = producers.map((p) => p.slot).join();
    if (order !== this.order) {
      this.order = order;
      const body = this.table.tBodies[0]!;
      for (const p of producers) body.append(this.rows.get(p)!.tr, this.rows.get(p)!.details);
    }
    this.explain(producers);
  }

  /* Column titles say what the column measures, in the producers' own words. */
  private explain(producers: Producer[]): void {
    const info = (name: string) => producers.map((p) => p.hello.metrics.get(name)).find(Boolean);
    const titles: Partial<Record<ColumnName, string>> = {
      decode: `${DECODE_HELP}; ${DECODE_SPAN}`,
      ttft: info(TTFT)?.help ? `${info(TTFT)!.help}; last request` : "",
      tpot: info(TPOT)?.help ? `${info(TPOT)!.help}; ${QUANTILES_HELP}` : "",
      memory: info(MEMORY)?.help ?? "",
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
