/* operations.ts: what producers did, newest first: type, strategy, units, time, and whether it went well. */
import { make, setText } from "../shared/dom";
import { clockTime, decimal, NOT_MEASURED, quantity } from "../shared/format";
import type { Cell, Grid } from "./grid";
import type { Operation } from "./protocol";
import type { Done } from "./store";
import { swatch } from "./table";

const MOST_ROWS = 60;

/** "128 tokens", "3.5 images"; a dash when not measured. */
export function unitsText({ units, unit }: Operation): string {
  if (Number.isNaN(units)) return NOT_MEASURED;
  return `${decimal(units)} ${unit}${unit && units !== 1 ? "s" : ""}`.trimEnd();
}

export function outcomeText({ ok, error }: Operation): string {
  return ok ? "ok" : `failed: ${error || "no reason given"}`;
}

function aboutText(operation: Operation): string {
  const parts = [`ended ${clockTime(operation.t_ms)}`];
  if (operation.parent > 0) parts.push(`part of #${operation.parent}`);
  if (!Number.isNaN(operation.quality)) parts.push(`quality ${decimal(operation.quality)}`);
  for (const [name, value] of operation.meta) parts.push(`${name} ${value}`);
  return parts.join(" · ");
}

/** Its row, and below it why it failed, if it did. `from`: what its producer is shown as, in a cell of its own. */
export function operationRows(operation: Operation, from?: HTMLElement[]): HTMLTableRowElement[] {
  const row = make("tr");
  const number = make("td", "number", `#${operation.id}`);
  const name = make("td");
  name.append(make("bdi", "", operation.op), " ", make("bdi", "muted", operation.strategy));
  const units = make("td", "number", unitsText(operation));
  const time = make("td", "number", quantity(operation.duration_s, "s"));
  const outcome = make("td", operation.ok ? "outcome ok" : "outcome failed", operation.ok ? "ok" : "failed");
  row.title = aboutText(operation);
  const producer = make("td");
  producer.append(...(from ?? []));
  row.append(...(from ? [producer] : []), number, name, units, time, outcome);
  if (operation.ok) return [row];
  const why = make("td", "why");
  why.colSpan = row.cells.length;
  why.append(make("bdi", "", operation.error || "no reason given"));
  const below = make("tr", "below");
  below.append(why);
  return [row, below];
}

export function operationGrid(all: { operation: Operation; producer: string }[]): Grid {
  const columns = [
    { name: "ended", unit: "date_ms" },
    { name: "producer" },
    { name: "id", unit: "" },
    { name: "operation" },
    { name: "strategy" },
    { name: "units" },
    { name: "duration", unit: "s" },
    { name: "outcome" },
  ];
  const rows = all.map(({ operation: o, producer }): Cell[] => {
    return [o.t_ms, producer, o.id, o.op, o.strategy, unitsText(o), o.duration_s, outcomeText(o)];
  });
  return { columns, rows };
}

export class OperationList {
  private shown: Operation[] = [];
  private all: Done[] = [];
  private readonly body = make("tbody");
  private readonly empty = make("p", "nothing");

  constructor(host: HTMLElement) {
    const table = make("table", "operations");
    const head = make("tr");
    for (const title of ["from", "#", "operation", "units", "time", "outcome"]) {
      const th = make("th", "", title);
      th.scope = "col";
      head.append(th);
    }
    const thead = make("thead", "visually-hidden");
    thead.append(head);
    table.append(thead, this.body);
    host.append(table, this.empty);
    const advice = "No operation has ended yet. A program reports what it does with bitnet_op_begin and bitnet_op_end.";
    setText(this.empty, advice);
  }

  update(all: Done[]): void {
    this.all = all;
    this.empty.hidden = all.length > 0;
    const newest = all.slice(-MOST_ROWS).reverse();
    if (newest.length === this.shown.length && newest.every((d, i) => d.operation === this.shown[i])) return;
    this.shown = newest.map((d) => d.operation);
    this.body.replaceChildren(
      ...newest.flatMap(({ operation, p }) => {
        const badge = swatch(p);
        badge.title = p.hello.name;
        return operationRows(operation, [badge, make("span", "visually-hidden", p.hello.name)]);
      }),
    );
  }

  grid(): Grid {
    const newest = [...this.all].reverse();
    return operationGrid(newest.map(({ operation, p }) => ({ operation, producer: `${p.key} ${p.hello.name}` })));
  }
}
