/* health.ts: the strip at the bottom: what is wrong, and what was looked at and is not.
 *
 * Each item has a mark, a word and its numbers. "Not measured" is a state of its own: nobody said that it
 * is well.
 */
import { make, setText } from "../shared/dom";
import { count, decimal, NOT_MEASURED, quantity } from "../shared/format";
import { LEAK_LOW, lastValue } from "./derive";
import type { Cell, Grid } from "./grid";
import type { Gap } from "./protocol";
import type { Producer, Store } from "./store";

type Level = "good" | "warn" | "bad" | "unknown";
const MARKS: Record<Level, string> = { good: "✓", warn: "⚠", bad: "✕", unknown: NOT_MEASURED };
const WORDS: Record<Level, string> = { good: "good", warn: "warning", bad: "bad", unknown: "not measured" };

export interface Item {
  about: string;
  level: Level;
  text: string;
  detail: string; /* shown on hover, and in the table */
}

const CLOCK_POOR_MS = 50; /* an error of this much is visible on a chart of ten seconds */

function who(p: Producer): string {
  return `${p.key} ${p.hello.name}`;
}

function alertsItem(store: Store): Item {
  const firing = [...store.alerts.values()];
  const detail = firing.map((a) => {
    const p = store.numbered(a.producer);
    return `${p ? who(p) : "hub"}: ${a.rule} (now ${decimal(a.value)}, limit ${decimal(a.limit)})`;
  });
  if (firing.length === 0) {
    const text = store.health ? "no alert fires" : "alerts not reported";
    const level = store.health ? "good" : "unknown";
    return { about: "alerts", level, text, detail: "rules of the hub over what producers report" };
  }
  const first = detail[0]! + (firing.length > 1 ? ` and ${firing.length - 1} more` : "");
  return { about: "alerts", level: "bad", text: `alert: ${first}`, detail: detail.join("; ") };
}

function clockItem(rows: Producer[]): Item {
  const clocks = rows.flatMap((p) => (p.clock ? [{ p, clock: p.clock }] : []));
  const detail = clocks.map(({ p, clock }) => `${who(p)} ${decimal(clock.offset_ms)} ms ±${decimal(clock.error_ms)} ms`);
  const worst = Math.max(...clocks.map(({ clock }) => clock.error_ms));
  if (clocks.length === 0) {
    return { about: "clocks", level: "unknown", text: "clocks not compared yet", detail: "a few seconds after a hello" };
  }
  const level = worst > CLOCK_POOR_MS ? "warn" : "good";
  return { about: "clocks", level, text: `clock sync ±${decimal(worst)} ms`, detail: detail.join("; ") };
}

function samplesIn(gaps: Gap[]): string {
  const sum = gaps.reduce((n, gap) => n + (Number.isNaN(gap.n) ? 0 : gap.n), 0);
  const open = gaps.some((gap) => Number.isNaN(gap.n));
  return open ? `${decimal(sum)} samples or more` : count(sum, "sample");
}

function lossItem(store: Store, rows: Producer[]): Item {
  const dropped = rows.reduce((sum, p) => sum + p.dropped, 0);
  const gaps = rows.flatMap((p) => p.gaps);
  const missed = store.missed + rows.reduce((sum, p) => sum + p.missed, 0);
  const parts: string[] = [];
  const detail: string[] = [];
  if (dropped > 0) parts.push(`${count(dropped, "record")} dropped (ring full)`);
  for (const reason of new Set(gaps.map((gap) => gap.reason))) {
    const these = gaps.filter((gap) => gap.reason === reason);
    parts.push(`${count(these.length, "gap")}, ${samplesIn(these)} (${reason.replaceAll("_", " ")})`);
  }
  if (missed > 0) parts.push(`${count(missed, "message")} missed by this page`);
  for (const p of rows) if (p.dropped || p.gaps.length) detail.push(`${who(p)}: ${p.dropped} dropped, ${p.gaps.length} gaps`);
  if (parts.length === 0) {
    return { about: "losses", level: "good", text: "0 lost", detail: "no record dropped, no gap declared, none missed" };
  }
  return { about: "losses", level: "warn", text: parts.join(" · "), detail: detail.join("; ") };
}

function storeItem({ health }: Store): Item {
  const detail = health?.reasons.join("; ") ?? "";
  switch (health?.store) {
    case "ok":
      return { about: "store", level: "good", text: "history is kept", detail };
    case "off":
      return { about: "store", level: "unknown", text: "no history is kept", detail: "the hub runs without a store" };
    case "full":
    case "error":
      return { about: "store", level: "bad", text: `store: ${detail || health.store}`, detail };
    default:
      return { about: "store", level: "unknown", text: "store not reported", detail: "the hub has not said" };
  }
}

function leakItem(rows: Producer[]): Item {
  const slopes = rows.map((p) => [p, lastValue(p.columns, LEAK_LOW)] as const).filter(([, low]) => !Number.isNaN(low));
  const leaking = slopes.filter(([, low]) => low > 0);
  const detail = "least growth of memory that 95 % confidence leaves, in the run and in both its halves";
  if (leaking.length > 0) {
    const text = leaking.map(([p, low]) => `${who(p)} leaks at least ${quantity(low, "By/s")}`).join(" · ");
    return { about: "leaks", level: "bad", text, detail };
  }
  if (slopes.length > 0) return { about: "leaks", level: "good", text: "no leak", detail };
  return { about: "leaks", level: "unknown", text: "leaks not measured", detail };
}

function hubItem({ health }: Store): Item[] {
  if (!health) return [];
  const level = health.status === "ok" ? "good" : health.status === "unhealthy" ? "bad" : "warn";
  const why = health.reasons.length ? `: ${health.reasons.join("; ")}` : "";
  return [{ about: "hub", level, text: `hub ${health.status}${why}`, detail: "GET /health of the hub" }];
}

export function healthItems(store: Store): Item[] {
  const rows = store.rows();
  return [...hubItem(store), alertsItem(store), clockItem(rows), lossItem(store, rows), storeItem(store), leakItem(rows)];
}

export class HealthStrip {
  private items: Item[] = [];
  private readonly list = make("ul", "health");

  constructor(host: HTMLElement) {
    host.append(this.list);
  }

  update(store: Store): void {
    this.items = healthItems(store);
    while (this.list.children.length > this.items.length) this.list.lastElementChild!.remove();
    this.items.forEach(({ level, text, detail }, i) => {
      let li = this.list.children[i] as HTMLElement | undefined;
      if (!li) {
        li = make("li");
        const mark = make("span", "mark");
        mark.setAttribute("aria-hidden", "true");
        li.append(mark, make("span", "visually-hidden"), make("bdi", "text"));
        this.list.append(li);
      }
      li.dataset["level"] = level;
      li.title = detail;
      setText(li.children[0]!, MARKS[level]);
      setText(li.children[1]!, level === "unknown" ? "" : `${WORDS[level]}: `);
      setText(li.children[2]!, text);
    });
  }

  grid(): Grid {
    const columns = [{ name: "what" }, { name: "state" }, { name: "finding" }, { name: "detail" }];
    return { columns, rows: this.items.map((i): Cell[] => [i.about, WORDS[i.level], i.text, i.detail]) };
  }
}
