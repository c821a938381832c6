/* facts.ts: what the page says about the model that is loaded, and about what this browser lacks. */
import type { ModelInfo } from "libbitnet";
import { count, quantity } from "../shared/format";

const TIERS: Record<string, string> = { relaxed: "relaxed SIMD", simd128: "SIMD", c: "no SIMD" };

/** [text, explanation] */
export function modelFacts(info: ModelInfo): [string, string][] {
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
