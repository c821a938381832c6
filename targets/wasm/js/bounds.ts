/* bounds.ts: what this machine can do, as far as a module can tell: the bounds of a profile's roofline. Worker side.
 *
 * A module has no instructions of its own choosing to keep busy: the bound of multiply-adds is what the ternary
 * product reaches on many tokens, from a cache.
 */
import { BitnetError } from "./errors.js";
import { ProbeKind } from "./glue.js";
import { bufferSize, withProbe } from "./predict.js";
import type { MachineBounds, MeasureRequest } from "./rpc.js";
import { startBest } from "./starting.js";

const HOT_MS = 15; /* for the engine's second compiler */
const SAMPLE_MS = 12;
const SAMPLES = 4;
const PIECE = 8 << 20;
const PROMPT_PIECE = 256 << 10;

export async function measure({ tokenBytes, ...how }: MeasureRequest): Promise<MachineBounds> {
  const { instance, pickThreads } = await startBest(how);
  const threads = pickThreads().value;
  const bounds = withProbe(instance, bufferSize(tokenBytes), threads, (probe) => {
    const best = (kind: ProbeKind, piece: number): number => {
      probe.rate(kind, piece, HOT_MS);
      return Math.max(...Array.from({ length: SAMPLES }, () => probe.rate(kind, piece, SAMPLE_MS)));
    };
    const bytesPerSecond = best(ProbeKind.read, PIECE);
    return { threads, bytesPerSecond, int8OperationsPerSecond: best(ProbeKind.prompt, PROMPT_PIECE) };
  });
  instance.stopThreads();
  if (!bounds) throw new BitnetError("session.memory", "The browser gives no memory to measure in.");
  return bounds;
}
