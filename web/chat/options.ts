/* options.ts: what the address bar and the sampling form ask for.
 *
 *   ?tier=c|simd128|relaxed  ?threads=N  ?ctx=N  ?model=URL  ?name=producer name on the dashboard
 *   ?temp ?topK ?topP ?minP ?repeat ?seed ?max   fill the form's fields
 *
 * A parameter out of range is refused with a sentence, like a flag of the command line.
 */
import { TIERS, type Tier } from "libbitnet";
import { byId, setText } from "../shared/dom";

export const DEFAULT_MODEL = "models/bitnet-tales.gguf";

export interface PageOptions {
  model: string;
  name: string;
  tier: Tier | undefined;
  threads: number | undefined;
  nCtx: number | undefined;
}

export interface Sampling {
  temp: number;
  topK: number;
  topP: number;
  minP: number;
  repeatPenalty: number;
  seed: number;
  maxTokens: number;
}

function wholeNumber(query: URLSearchParams, name: string, max: number): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new RangeError(`?${name}=${text}: a whole number from 1 to ${max} is needed.`);
}

/** Throws a RangeError with one sentence when a parameter is not allowed. */
export function readPageOptions(search: string): PageOptions {
  const query = new URLSearchParams(search);
  const tier = query.get("tier") || undefined;
  if (tier !== undefined && !TIERS.includes(tier as Tier)) {
    throw new RangeError(`?tier=${tier}: there is no such tier; allowed are ${TIERS.slice(0, -1).join(", ")} and ${TIERS.at(-1)}.`);
  }
  return {
    model: query.get("model") || DEFAULT_MODEL,
    name: query.get("name") || "tab",
    tier: tier as Tier | undefined,
    threads: wholeNumber(query, "threads", 64),
    nCtx: wholeNumber(query, "ctx", 1 << 20),
  };
}

export class SamplingForm {
  private readonly form = byId("sampling", HTMLFormElement);

  constructor(search: string) {
    const query = new URLSearchParams(search);
    for (const field of this.fields()) {
      const value = query.get(field.name);
      if (value === null) continue;
      field.value = value;
      if (!field.validity.valid || (field.value === "" && value !== "")) {
        const message = `?${field.name}=${value}: a number from ${field.min} to ${field.max} is needed.`;
        field.value = field.defaultValue;
        throw new RangeError(message);
      }
    }
    this.form.onsubmit = () => false;
    this.form.oninput = () => this.summarise();
    this.summarise();
  }

  /** The settings of the next answer, an unset seed drawn; undefined, pointing at the field, if one is not valid. */
  read(): Sampling | undefined {
    if (!this.form.checkValidity()) {
      this.form.closest("details")!.open = true;
      this.form.reportValidity();
      return undefined;
    }
    const value = (name: string) => this.field(name).valueAsNumber;
    const drawn = crypto.getRandomValues(new Uint32Array(1))[0]!;
    return {
      temp: value("temp"),
      topK: value("topK"),
      topP: value("topP"),
      minP: value("minP"),
      repeatPenalty: value("repeat"),
      seed: Number.isNaN(value("seed")) ? drawn : value("seed"),
      maxTokens: value("max"),
    };
  }

  private fields(): HTMLInputElement[] {
    return [...this.form.querySelectorAll("input")];
  }

  private field(name: string): HTMLInputElement {
    return this.fields().find((field) => field.name === name)!;
  }

  private summarise(): void {
    const temp = this.field("temp").valueAsNumber;
    const k = this.field("topK").value;
    const text = temp === 0 ? "greedy" : `temperature ${this.field("temp").value} · top-k ${k}`;
    setText(byId("sampling-summary", HTMLElement), `· ${text}`);
  }
}
