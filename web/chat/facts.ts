/* facts.ts: short facts, each with a sentence that explains it; and which ones the page tells about the model that is
 * loaded, about an answer, and about what this browser lacks. Of what is measured the package has the definitions.
 */
import { METRIC_DEFINITIONS, type Metrics, type ModelInfo } from "libbitnet";
import { make } from "../shared/dom";
import { count, quantity } from "../shared/format";

const TIERS: Record<string, string> = { relaxed: "relaxed SIMD", simd128: "SIMD", c: "no SIMD" };

/** The explanation is "" where there is none. */
export type Fact = [text: string, explanation: string];

export const NO_MODEL: Fact[] = [["No model", ""]];

function factItem([text, explanation]: Fact): HTMLLIElement {
  const item = make("li");
  const value = make("span", "", text);
  if (explanation !== "") {
    value.className = "explained";
    value.title = explanation;
    value.tabIndex = 0;
    value.setAttribute("aria-description", explanation);
  }
  item.append(value);
  return item;
}

/** Explanations are tooltips, and reach the keyboard, fingers and screen readers as well. */
export function showFacts(list: HTMLElement, facts: Fact[]): void {
  list.replaceChildren(...facts.map(factItem));
}

/** What a number of an answer is. */
export function metricHelp(name: keyof Metrics): string {
  const { label, definition } = METRIC_DEFINITIONS.find((metric) => metric.name === name)!;
  return `${label}: ${definition}`;
}

/** All numbers of an answer, each with its definition beside it. */
export function metricsTable(metrics: Metrics): HTMLTableElement {
  const table = make("table", "metrics");
  for (const { name, unit, kind, label, definition } of METRIC_DEFINITIONS) {
    const value = metrics[name];
    const text = kind === "count" && value !== null ? count(value, unit.slice(1, -1)) : quantity(value, unit);
    const head = make("th", "", label);
    head.scope = "row";
    const row = make("tr");
    row.append(head, make("td", "number", text), make("td", "", definition));
    table.append(row);
  }
  return table;
}

export function modelFacts(info: ModelInfo): Fact[] {
  return [
    [info.name || "unnamed model", `Architecture ${info.arch}, ${info.nParams.toLocaleString("en-US")} parameters`],
    [quantity(info.fileSize, "By"), "Size of the model file"],
    [TIERS[info.tier] ?? info.tier, info.tierReason],
    [count(info.threads, "thread"), info.threadsReason],
    [`window ${count(info.nCtx, "token")}`, windowText(info)],
  ];
}

function windowText({ nCtx, nCtxTrain }: ModelInfo): string {
  const all = "What is read and what is written fit in this many tokens together";
  return nCtx < nCtxTrain ? `${all}. The model was trained for ${nCtxTrain}; that would take much memory` : all;
}

/** What makes it slow here, in a sentence each; "" when nothing does. */
export function modelNote(info: ModelInfo): string {
  const notes: string[] = [];
  if (info.tier === "c") notes.push(`Without SIMD this is slow. ${info.tierReason}`);
  if (!crossOriginIsolated) notes.push(`One thread. ${info.threadsReason}`);
  return notes.join(" ");
}
