/* grid.ts: a table of values and what it is written as: HTML, Markdown, CSV, JSON.
 *
 * On screen and in Markdown numbers have units; CSV and JSON hold the numbers as they are, with the unit in
 * the column's name. Cells come from strangers: HTML is made of text nodes, Markdown and CSV are escaped.
 */
import { make, setText } from "../shared/dom";
import { quantity, unitLabel } from "../shared/format";

export type Cell = string | number | null;

export interface GridColumn {
  name: string;
  unit?: string; /* of its numbers; see format.ts */
}

export interface Grid {
  columns: GridColumn[];
  rows: Cell[][];
}

/** A panel's grid with what the panel is called and what it means. */
export interface Titled {
  title: string;
  help: string;
  grid: Grid;
}

export function cellText(cell: Cell, unit = ""): string {
  if (typeof cell === "string") return cell;
  return quantity(cell ?? undefined, unit);
}

/** Brings a <table> up to date; cells are written only where their text changed. */
export function fillTable(table: HTMLTableElement, { columns, rows }: Grid): void {
  const titles = columns.map((c) => c.name).join("\n");
  if (table.dataset["titles"] !== titles) {
    table.dataset["titles"] = titles;
    const head = make("tr");
    for (const { name, unit } of columns) {
      const th = make("th", unit === undefined ? "" : "number", name);
      th.scope = "col";
      head.append(th);
    }
    const thead = make("thead");
    thead.append(head);
    table.replaceChildren(thead, make("tbody"));
  }
  const body = table.tBodies[0]!;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, r) => {
    const row = body.rows[r] ?? body.insertRow();
    cells.forEach((cell, c) => {
      const td = row.cells[c] ?? row.insertCell();
      const { unit } = columns[c]!;
      if (unit !== undefined) td.className = "number";
      else td.dir = "auto";
      setText(td, cellText(cell, unit));
    });
  });
}

const markdownCell = (text: string) => text.replace(/[\\`*_{}[\]<>|#]/g, "\\$&").replace(/\s+/g, " ");

export function markdown({ title, help, grid }: Titled): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    `### ${markdownCell(title)}`,
    "",
    markdownCell(help),
    "",
    line(grid.columns.map((c) => markdownCell(c.name))),
    line(grid.columns.map((c) => (c.unit === undefined ? "---" : "---:"))),
    ...grid.rows.map((cells) => line(cells.map((cell, i) => markdownCell(cellText(cell, grid.columns[i]!.unit))))),
    "",
  ].join("\n");
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** One cell of RFC 4180. A spreadsheet would compute what begins like a formula, so that gets an apostrophe. */
export function csvCell(cell: Cell): string {
  if (cell === null || Number.isNaN(cell)) return "";
  let text = String(cell);
  if (/^[=+\-@\t\r]/.test(text) && !NUMBER.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function columnName({ name, unit }: GridColumn): string {
  const label = unit === undefined ? "" : unitLabel(unit);
  return label ? `${name} (${label})` : name;
}

/** All panels below each other, the panel's title in the first column, lines of one length. */
export function csv(all: Titled[]): string {
  const lines = all.flatMap(({ title, grid }) => [
    ["panel", ...grid.columns.map(columnName)],
    ...grid.rows.map((cells) => [title, ...cells]),
  ]);
  const width = Math.max(1, ...lines.map((line) => line.length));
  const padded = lines.map((line) => [...line, ...new Array<Cell>(width - line.length).fill(null)]);
  return padded.map((line) => line.map(csvCell).join(",") + "\r\n").join("");
}

export function json(all: Titled[], about: Record<string, unknown>): string {
  const panels = all.map(({ title, help, grid }) => ({
    title,
    help,
    columns: grid.columns.map(({ name, unit }) => ({ name, unit: unit ?? null })),
    rows: grid.rows.map((cells) => cells.map((cell) => (Number.isNaN(cell) ? null : cell))),
  }));
  return JSON.stringify({ ...about, panels }, null, 1) + "\n";
}

/** Hands a file to the browser's downloads. */
export function download(name: string, content: Blob): void {
  const link = make("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
