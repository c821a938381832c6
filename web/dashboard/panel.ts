/* panel.ts: what every panel has: its table in place of its picture, and a copy of it as Markdown.
 *
 * The panel's title and its sentence of help are in index.html. Whether the table is shown is a setting of
 * the address, "tables=throughput,latency".
 */
import { copyFrom, make, setText } from "../shared/dom";
import { fillTable, type Grid, markdown, type Titled } from "./grid";
import type { Router } from "./router";

const SETTING = "tables";

export class Panel {
  readonly id: string;
  private readonly table = make("table", "grid");
  private readonly tableHost = make("div", "as-table");
  private readonly toggle = make("button", "quiet", "Table");
  private readonly nothing = make("p", "nothing", "There is nothing to show yet.");
  private readonly plot: HTMLElement;

  constructor(
    readonly root: HTMLElement,
    private readonly router: Router,
    private readonly grid: () => Grid,
  ) {
    this.id = root.id;
    this.plot = root.querySelector<HTMLElement>(".plot")!;
    this.tableHost.tabIndex = 0; /* it scrolls, so the keyboard must reach it */
    this.tableHost.setAttribute("role", "region");
    this.tableHost.setAttribute("aria-label", `${this.title}, as a table`);
    this.tableHost.append(this.table, this.nothing);
    this.plot.after(this.tableHost);
    const copy = make("button", "quiet", "Copy");
    copy.title = "Copy this panel as a Markdown table";
    copy.onclick = () => void copyFrom(copy, markdown(this.titled()));
    this.toggle.title = "Show the numbers of this panel as a table";
    this.toggle.onclick = () => this.showTable(this.tableHost.hidden);
    for (const button of [this.toggle, copy]) button.type = "button";
    root.querySelector(".tools")!.append(this.toggle, copy);
    this.restore();
  }

  get title(): string {
    return (this.root.querySelector("h2 .title") ?? this.root.querySelector("h2")!).textContent!.trim().replace(/\s+/g, " ");
  }

  titled(): Titled {
    const help = this.root.querySelector(".explain")?.textContent ?? "";
    return { title: this.title, help, grid: this.grid() };
  }

  /** Brings what does not draw itself up to date: the table, when it is shown. */
  update(): void {
    const explain = this.root.querySelector<HTMLElement>(".explain");
    if (explain) explain.title = explain.textContent ?? ""; /* it may be cut where there is little room */
    if (this.tableHost.hidden) return;
    const grid = this.grid();
    this.nothing.hidden = grid.rows.length > 0;
    fillTable(this.table, grid);
  }

  /** Shows what the address says. */
  restore(): void {
    this.show(this.asTables().has(this.id));
  }

  private asTables(): Set<string> {
    return new Set(this.router.get(SETTING).split(",").filter(Boolean));
  }

  private showTable(shown: boolean): void {
    const ids = this.asTables();
    if (shown) ids.add(this.id);
    else ids.delete(this.id);
    this.router.set({ [SETTING]: [...ids].join() });
    this.show(shown);
  }

  private show(shown: boolean): void {
    this.tableHost.hidden = !shown;
    this.plot.hidden = shown;
    setText(this.toggle, shown ? "Chart" : "Table");
    this.update();
  }
}
