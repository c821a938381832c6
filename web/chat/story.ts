/* story.ts: one story on the page: its opening, the text the model adds, and the line of numbers under it.
 *
 * Text arrives token by token through `append` and is only ever set as text. The numbers are those of the
 * engine (timings), each with its definition as a tooltip that also the keyboard reaches.
 */
import { make } from "../shared/dom";
import { count, quantity } from "../shared/format";
import type { Sampling } from "./options";

/** What the line under an answer is made of. */
export interface Numbers {
  ttftS: number | undefined;
  tokensPerS: number | undefined;
  nGenerated: number;
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

/** [text, definition] of each number, in the order shown. */
export function statsLine(n: Numbers): [string, string][] {
  const stats: [string, string][] = [
    [`TTFT ${quantity(n.ttftS, "s")}`, "Time to first token: from the request accepted to the first token sampled"],
    [quantity(n.tokensPerS, "{token}/s"), "Decode speed: (tokens − 1) / (time of the last token − time of the first)"],
    [count(n.nGenerated, "token"), `Tokens sampled, a final end-of-text token included; ${samplingHelp(n.sampling)}`],
    [n.tier, TIER_HELP[n.tier] ?? "SIMD tier of the WebAssembly module"],
    [count(n.threads, "thread"), n.threadsReason || "Threads that compute, this module's own worker included"],
  ];
  if (n.finish === "cancelled") stats.push(["stopped", "You stopped this answer"]);
  return stats;
}

export class Story {
  readonly element = make("article", "story");
  private readonly answer = make("span", "answer");
  private readonly foot = make("div", "story-foot");

  constructor(readonly opening: string) {
    const text = make("p", "text");
    text.append(make("span", "opening", opening), this.answer);
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
    this.foot.replaceChildren();
    this.element.dataset["state"] = "writing";
  }

  append(text: string): void {
    /* One text node, appended to: a node per token would make selection and copying slow. */
    const node = this.answer.lastChild;
    if (node instanceof Text) node.appendData(text);
    else this.answer.append(text);
  }

  end(numbers: Numbers): void {
    this.element.dataset["state"] = numbers.finish;
    const list = make("ul", "stats");
    list.setAttribute("aria-label", "Measured");
    for (const [text, definition] of statsLine(numbers)) {
      const item = make("li");
      const value = make("span", "stat", text);
      value.title = definition;
      value.tabIndex = 0;
      value.setAttribute("aria-description", definition);
      item.append(value);
      list.append(item);
    }
    this.foot.append(list);
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
