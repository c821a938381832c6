/* story.ts: one answer on the page: what was asked or begun, the text the model adds, and the line of numbers under
 * it.
 *
 * Text arrives token by token through `append` and is only ever set as text. The numbers under a whole answer are
 * those of the engine (metrics), and all of them unfold; while it is written they are counted here.
 */
import type { Metrics } from "libbitnet";
import { make } from "../shared/dom";
import { count, quantity, rangeText } from "../shared/format";
import { metricHelp, metricsTable, showFacts, type Fact } from "./facts";
import type { Sampling } from "./options";

/** What the line under an answer is made of. */
export interface Numbers {
  metrics: Metrics;
  /** What was forecast before the model was downloaded. */
  expected: { low: number; high: number } | undefined;
  tier: string;
  threads: number;
  threadsReason: string;
  finish: string;
  sampling: Sampling;
}

const TIER_HELP: Record<string, string> = {
  relaxed: "SIMD tier of the WebAssembly module: relaxed SIMD, with 8-bit dot products",
  simd128: "SIMD tier of the WebAssembly module: 128-bit SIMD",
  c: "Tier of the WebAssembly module: plain C, since no SIMD works here",
};

function samplingHelp({ temp, topK, topP, minP, seed }: Sampling): string {
  if (temp === 0) return "greedy: always the likeliest token";
  return `temperature ${temp}, top-k ${topK}, top-p ${topP}, min-p ${minP}, seed ${seed}`;
}

/** Each number with its definition, in the order shown. */
export function statsLine(n: Numbers): Fact[] {
  const stats: Fact[] = [
    [`TTFT ${quantity(n.metrics.ttft_s, "s")}`, metricHelp("ttft_s")],
    [quantity(n.metrics.decode_tokens_per_second, "{token}/s"), metricHelp("decode_tokens_per_second")],
    [count(n.metrics.n_generated, "token"), `${metricHelp("n_generated")}; ${samplingHelp(n.sampling)}`],
    [n.tier, TIER_HELP[n.tier] ?? "SIMD tier of the WebAssembly module"],
    [count(n.threads, "thread"), n.threadsReason || "Threads that compute, this module's own worker included"],
  ];
  if (n.expected) stats.splice(2, 0, [`${rangeText(n.expected)} expected`, "Forecast before the model was downloaded"]);
  if (n.finish === "cancelled") stats.push(["stopped", "You stopped this answer"]);
  return stats;
}

const LIVE_MS = 200; /* between two updates of the line while it is written: faster cannot be read */

export class Story {
  readonly element = make("article", "story");
  private readonly answer = make("span", "answer");
  private readonly foot = make("div", "story-foot");
  private readonly live = make("ul", "stats");
  private nTokens = 0;
  private firstMs = 0;
  private shownMs = 0;

  /** A turn's question stands apart from its answer; the opening of a story does not. */
  constructor(
    readonly opening: string,
    isTurn: boolean,
  ) {
    const text = make("p", "text");
    if (isTurn) this.element.append(make("p", "question", opening));
    else text.append(make("span", "opening", opening));
    text.append(this.answer);
    this.element.append(text, this.foot);
  }

  /** Everything so far: what a continuation is asked to continue. */
  get text(): string {
    return this.opening + (this.answer.textContent ?? "");
  }

  get isEmpty(): boolean {
    return this.answer.textContent === "";
  }

  begin(): void {
    this.nTokens = 0;
    this.live.replaceChildren();
    this.live.setAttribute("aria-label", "Measured so far");
    this.foot.replaceChildren(this.live);
    this.element.dataset["state"] = "writing";
  }

  append(text: string): void {
    /* One text node, appended to: a node per token would make selection and copying slow. */
    const node = this.answer.lastChild;
    if (node instanceof Text) node.appendData(text);
    else this.answer.append(text);
    this.countToken(performance.now());
  }

  private countToken(now: number): void {
    if (this.nTokens++ === 0) this.firstMs = now;
    if (now - this.shownMs < LIVE_MS) return;
    this.shownMs = now;
    const seconds = (now - this.firstMs) / 1000;
    const rate = seconds > 0 ? (this.nTokens - 1) / seconds : undefined;
    showFacts(this.live, [
      [quantity(rate, "{token}/s"), metricHelp("decode_tokens_per_second")],
      [count(this.nTokens, "token"), "Tokens written so far"],
    ]);
  }

  end(numbers: Numbers): void {
    this.element.dataset["state"] = numbers.finish;
    const list = make("ul", "stats");
    list.setAttribute("aria-label", "Measured");
    showFacts(list, statsLine(numbers));
    const all = make("details", "all-metrics");
    all.append(make("summary", "", "All numbers"), metricsTable(numbers.metrics));
    this.foot.replaceChildren(list, all);
  }

  /** The answer ended early: offer to go on from here. */
  offerMore(onMore: () => void): void {
    const more = make("button", "quiet more", "Continue");
    more.type = "button";
    more.onclick = onMore;
    this.foot.append(more);
  }

  fail(): void {
    this.element.dataset["state"] = "error";
  }
}
