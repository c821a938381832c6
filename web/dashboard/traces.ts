/* traces.ts: the traces view: opens a file of Chrome trace events and shows where its time went.
 *
 * A file comes from the picker, is dropped on the page, or is named by the address ("trace=/run.json", on this
 * server only). It stays in this page. Reading is done by a worker.
 */
import { byId, make, setText } from "../shared/dom";
import { percent, quantity } from "../shared/format";
import { Flame } from "./flame";
import { type Cell, download, type Grid, type Titled } from "./grid";
import { Panel } from "./panel";
import type { Router } from "./router";
import type { Totals, Trace } from "./trace_parse";
import type { TraceAnswer, TraceQuestion } from "./trace_worker";

const MOST_BYTES = 512e6;
const MOST_ROWS = 200;
const us = (value: number) => quantity(value / 1e6, "s");
const element = (id: string) => byId(id, HTMLElement);

export class TracesView {
  private worker: Worker | undefined;
  private trace: Trace | undefined;
  private file: { blob: Blob; name: string } | undefined;
  private opened = ""; /* the address's trace that is shown, or was tried */
  private readonly flame = new Flame(element("flame"), (slice) => this.showSlice(slice), (slice) => this.hover(slice));
  private readonly panels: Panel[];

  constructor(private readonly router: Router) {
    this.panels = [
      new Panel(element("flame-panel"), router, () => this.threadsGrid()),
      new Panel(element("slices"), router, () => this.totalsGrid()),
    ];
    const picker = byId("trace-file", HTMLInputElement);
    picker.onchange = () => {
      const file = picker.files?.[0];
      picker.value = "";
      if (file) this.openFile(file);
    };
    byId("trace-open", HTMLButtonElement).onclick = () => picker.click();
    byId("trace-save", HTMLButtonElement).onclick = () => this.file && download(this.file.name, this.file.blob);
    const view = element("view-traces");
    view.addEventListener("dragover", (event) => {
      event.preventDefault();
      view.classList.add("dropping");
    });
    view.addEventListener("dragleave", () => view.classList.remove("dropping"));
    view.addEventListener("drop", (event) => {
      event.preventDefault();
      view.classList.remove("dropping");
      const file = event.dataTransfer?.files[0];
      if (file) this.openFile(file);
    });
  }

  restore(): void {
    for (const panel of this.panels) panel.restore();
    const named = this.router.get("trace");
    if (named && named !== this.opened) void this.openNamed(named);
    this.flame.requestPaint();
  }

  restyle(): void {
    this.flame.requestPaint();
  }

  titled(): Titled[] {
    return this.trace ? this.panels.map((panel) => panel.titled()) : [];
  }

  private openFile(file: File): void {
    this.router.set({ trace: "" });
    this.opened = "";
    this.read(file, file.name);
  }

  private async openNamed(path: string): Promise<void> {
    this.opened = path;
    const url = new URL(path, location.href);
    if (url.origin !== location.origin) {
      return this.refuse(`A trace can be opened from this server only, and ${url.origin} is another. Download it and open the file.`);
    }
    this.say(`Loading ${url.pathname} …`);
    try {
      const response = await fetch(url);
      if (!response.ok) return this.refuse(`There is no trace at ${url.pathname}: the server answered ${response.status}.`);
      this.read(await response.blob(), decodeURIComponent(url.pathname.split("/").at(-1) || "trace.json"));
    } catch {
      this.refuse(`${url.pathname} could not be loaded: the server does not answer.`);
    }
  }

  private read(blob: Blob, name: string): void {
    if (blob.size > MOST_BYTES) {
      return this.refuse(`${name} has ${quantity(blob.size, "By")}; this page reads up to ${quantity(MOST_BYTES, "By")}. Record less.`);
    }
    this.forget();
    this.say(`Reading ${name}, ${quantity(blob.size, "By")} …`);
    const worker = new Worker(new URL("./trace_worker.js", import.meta.url), { type: "module" });
    this.worker = worker;
    this.file = { blob, name };
    worker.onmessage = ({ data }: MessageEvent<TraceAnswer>) => {
      if (worker === this.worker) this.answered(data);
    };
    worker.onerror = () => worker === this.worker && this.refuse("The file could not be read; it may be too large for this browser.");
    this.question({ read: blob });
  }

  private question(message: TraceQuestion): void {
    this.worker?.postMessage(message);
  }

  private answered(answer: TraceAnswer): void {
    switch (answer.kind) {
      case "trace":
        this.trace = answer.trace;
        return this.showTrace();
      case "refused":
        return this.refuse(`${this.file?.name ?? "The file"}: ${answer.why}`);
      case "args":
        return this.showArgs(answer.args);
    }
  }

  private forget(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.trace = undefined;
    this.file = undefined;
    element("traced").hidden = true;
  }

  private say(text: string): void {
    element("trace-state").hidden = text === "";
    element("trace-state").classList.remove("error");
    setText(element("trace-state"), text);
  }

  private refuse(why: string): void {
    this.forget();
    this.say(why);
    element("trace-state").classList.add("error");
  }

  private showTrace(): void {
    const { trace, file } = this;
    if (!trace || !file) return;
    this.say("");
    element("traced").hidden = false;
    setText(element("trace-name"), file.name);
    const slices = trace.start.length.toLocaleString("en-US");
    const more = trace.leftOut > 0 ? `, ${trace.leftOut.toLocaleString("en-US")} other events left out` : "";
    const threads = trace.threads.length === 1 ? "one thread" : `${trace.threads.length} threads`;
    setText(element("trace-facts"), `${us(trace.span)} · ${slices} slices in ${threads} · ${quantity(file.blob.size, "By")}${more}`);
    element("flame").setAttribute("aria-label", `Slices of ${file.name} by thread and time; the list beside has their times`);
    this.showTotals(trace);
    this.flame.show(trace);
    this.showSlice(-1);
    for (const panel of this.panels) panel.update();
  }

  private totalSelf(): number {
    return this.trace?.totals.reduce((sum, entry) => sum + entry.self, 0) ?? 0;
  }

  private showTotals(trace: Trace): void {
    const all = this.totalSelf();
    element("slice-rows").replaceChildren(
      ...trace.totals.slice(0, MOST_ROWS).map((entry: Totals) => {
        const row = make("tr");
        const th = make("th");
        th.scope = "row";
        const button = make("button", "quiet name");
        button.type = "button";
        button.title = `${entry.name}: show the longest`;
        button.append(make("bdi", "", entry.name));
        button.onclick = () => this.flame.select(entry.longest, true);
        th.append(button);
        const texts = [us(entry.self), percent(entry.self / all), us(entry.total), entry.count.toLocaleString("en-US")];
        row.append(th, ...texts.map((text) => make("td", "number", text)));
        return row;
      }),
    );
  }

  private hover(slice: number): void {
    setText(element("flame-readout"), slice < 0 ? "" : this.sliceText(slice));
  }

  private sliceText(slice: number): string {
    const { names, name, length, start } = this.trace!;
    return `${names[name[slice]!]!} · ${us(length[slice]!)} at ${us(start[slice]!)}`;
  }

  private showSlice(slice: number): void {
    const { trace } = this;
    element("slice-none").hidden = slice >= 0;
    element("slice-facts").hidden = slice < 0;
    if (!trace || slice < 0) return;
    const thread = trace.threads.find((t) => slice >= t.first && slice < t.end);
    this.facts([
      ["name", trace.names[trace.name[slice]!]!],
      ["thread", thread?.label ?? ""],
      ["starts at", us(trace.start[slice]!)],
      ["takes", us(trace.length[slice]!)],
      ["by itself", us(trace.self[slice]!)],
    ]);
    this.question({ args: slice });
  }

  private facts(all: [string, string][]): void {
    element("slice-facts").replaceChildren(...all.map(([name, value]) => this.fact(name, value)));
  }

  private fact(name: string, value: string): HTMLElement {
    const div = make("div");
    const [dt, dd] = [make("dt"), make("dd")];
    dt.append(make("bdi", "", name));
    dd.append(make("bdi", "", value));
    div.append(dt, dd);
    return div;
  }

  private showArgs(args: [string, string][]): void {
    element("slice-facts").append(...args.map(([name, value]) => this.fact(name, value)));
  }

  private threadsGrid(): Grid {
    const columns = [{ name: "thread" }, { name: "slices", unit: "" }, { name: "busy", unit: "s" }, { name: "share", unit: "1" }];
    const { trace } = this;
    const rows = (trace?.threads ?? []).map((thread): Cell[] => {
      let busy = 0;
      for (let i = thread.first; i < thread.end; i++) busy += trace!.self[i]!;
      return [thread.label, thread.end - thread.first, busy / 1e6, busy / trace!.span];
    });
    return { columns, rows };
  }

  private totalsGrid(): Grid {
    const all = this.totalSelf();
    const times = [{ name: "self", unit: "s" }, { name: "share", unit: "1" }, { name: "total", unit: "s" }];
    const rows = (this.trace?.totals ?? []).map((t): Cell[] => [t.name, t.self / 1e6, t.self / all, t.total / 1e6, t.count]);
    return { columns: [{ name: "slice" }, ...times, { name: "count", unit: "" }], rows };
  }
}
