/* kernels.ts: the panel that says where the time of a model goes: measuring on and off, a table of kernels beside what
 * this device can do, and the trace as a file. Off until asked for, since it costs some of the speed.
 */
import type { KernelWork, Model, Profile, ProfileReport } from "libbitnet";
import { byId, make, setText } from "../shared/dom";
import { count, decimal, NOT_MEASURED, quantity } from "../shared/format";
import { showError } from "./panel";

const toggle = byId("profile-toggle", HTMLButtonElement);
const save = byId("profile-save", HTMLButtonElement);
const status = byId("profile-status", HTMLElement);
const table = byId("kernels", HTMLTableElement);

const percent = (share: number | undefined): string =>
  share === undefined ? NOT_MEASURED : `${decimal(share * 100)} %`;

function row(work: KernelWork, allSeconds: number): HTMLTableRowElement {
  const tr = make("tr");
  const isMeasured = work.seconds > 0; /* a browser's clock has steps of 5 or 100 µs */
  const cells = [
    isMeasured ? percent(work.seconds / allSeconds) : NOT_MEASURED,
    isMeasured ? quantity(work.seconds / work.calls, "s") : NOT_MEASURED,
    isMeasured && work.bytes > 0 ? `${quantity(work.bytes / work.seconds, "By")}/s` : NOT_MEASURED,
    percent(work.roofline),
  ];
  const name = make("th", "", work.kernel);
  name.scope = "row";
  tr.append(name, ...cells.map((text) => make("td", "", text)));
  return tr;
}

/** The phase's kernels, the one that took most of the time first. */
function body(title: string, kernels: readonly KernelWork[]): HTMLTableSectionElement {
  const section = make("tbody");
  const all = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  const heading = make("tr", "phase");
  const cell = make("th", "", title);
  cell.colSpan = 5;
  cell.scope = "rowgroup";
  heading.append(cell);
  section.append(heading, ...[...kernels].sort((a, b) => b.seconds - a.seconds).map((work) => row(work, all)));
  return section;
}

export function machineText({ machine }: ProfileReport): string {
  const { threads, bytesPerSecond, int8OperationsPerSecond } = machine;
  const macs = decimal(int8OperationsPerSecond / 1e9);
  const bytes = quantity(bytesPerSecond, "By");
  return `This device, on ${count(threads, "thread")}: ${bytes}/s, ${macs} G multiply-adds a second.`;
}

function saveAs(blob: Blob, name: string): void {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); /* the browser may still be reading it */
}

export class KernelsPanel {
  private model: Model | undefined;
  private profile: Profile | undefined;

  constructor() {
    toggle.onclick = () => void this.run(() => (this.profile ? this.stop() : this.start()));
    save.onclick = () => void this.run(() => this.save());
  }

  /** undefined: there is none now. What was measured of the last one is gone. */
  attach(model: Model | undefined): void {
    this.model = model;
    this.profile = undefined;
    table.hidden = true;
    this.update("");
  }

  /** An answer has ended. */
  async refresh(): Promise<void> {
    const { profile } = this;
    const report = await profile?.report();
    if (!report || profile !== this.profile) return;
    for (const old of table.querySelectorAll("tbody")) old.remove();
    for (const [title, kernels] of [["Answering", report.decode], ["Reading the prompt", report.prefill]] as const) {
      if (kernels.length > 0) table.append(body(title, kernels));
    }
    table.hidden = report.decode.length + report.prefill.length === 0;
    this.update(machineText(report));
  }

  private update(text: string): void {
    toggle.disabled = this.model === undefined;
    toggle.setAttribute("aria-pressed", String(this.profile !== undefined));
    setText(toggle, this.profile ? "Stop measuring" : "Measure kernels");
    save.disabled = this.profile === undefined;
    setText(status, text);
  }

  private async run(action: () => Promise<void>): Promise<void> {
    toggle.disabled = true;
    try {
      await action();
    } catch (error) {
      showError("The kernels could not be measured.", error);
    } finally {
      toggle.disabled = this.model === undefined;
    }
  }

  private async start(): Promise<void> {
    const { model } = this;
    setText(status, "Measuring this device …");
    const profile = await model?.profile();
    if (model !== this.model) return; /* another was chosen meanwhile */
    this.profile = profile;
    await this.refresh();
  }

  private async stop(): Promise<void> {
    const { profile } = this;
    this.profile = undefined;
    await profile?.stop();
    this.update("");
  }

  private async save(): Promise<void> {
    if (this.profile) saveAs(await this.profile.trace(), "trace.json");
  }
}
